package audit_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/leakreach/leakreach/audit"
)

func TestSecretNeverShowsItsValue(t *testing.T) {
	value, token := strings.Repeat("v4lue/", 7), strings.Repeat("t0ken+", 9)
	s := audit.NewSecret(audit.KindAWSKey, "AKIA", value)
	s.SetPart(audit.PartSessionToken, token)
	s.AddCandidate(audit.NewSecret(audit.KindAWSKey, "", "cand1date/value/that/is/long"))
	f := audit.Finding{Rule: "aws-access-key", Secret: s}
	var log strings.Builder
	slog.New(slog.NewTextHandler(&log, nil)).Info("found", "secret", s, "finding", f, "any", map[string]any{"s": s})
	b, err := json.Marshal(f)
	if err != nil {
		t.Fatal(err)
	}
	text, _ := s.MarshalText()
	shown := log.String() + string(b) + string(text) + s.String() + s.GoString() + fmt.Sprint(*s) +
		fmt.Sprintf("%+v %#v", struct{ s audit.Secret }{*s}, struct{ p *audit.Secret }{s}) +
		fmt.Sprintf("%v %+v %#v %s %q %x %d %v %#v %+v", s, s, s, s, s, s, s, f, f, f)
	for _, private := range []string{value, token, "cand1date"} {
		if strings.Contains(shown, private) || strings.Contains(shown, fmt.Sprintf("%x", private)) {
			t.Errorf("a private part is shown in %s", shown)
		}
	}
}

func TestMasked(t *testing.T) {
	tests := []struct{ value, want string }{
		{"", ""},
		{"short", "…"},
		{strings.Repeat("a", 20), "…"},
		{"abcd" + strings.Repeat("-", 13) + "wxyz", "abcd…wxyz"},
		{"ab\x1b[" + strings.Repeat("-", 20), "…"}, // nothing of a value that could act on a terminal
		{"ab\ncd" + strings.Repeat("-", 20), "…"},
		{"\xff\xfe" + strings.Repeat("-", 20), "…"},
		{"äöüß" + strings.Repeat("-", 17) + "ÄÖÜẞ", "äöüß…ÄÖÜẞ"},
	}
	for _, tt := range tests {
		if got := audit.NewSecret("k", "", tt.value).Masked(); got != tt.want {
			t.Errorf("Masked(%q) = %q, want %q", tt.value, got, tt.want)
		}
	}
}

func TestSign(t *testing.T) {
	key, other := audit.KeyFrom([]byte("one")), audit.KeyFrom([]byte("two"))
	id := func(k audit.Key, kind, id, value string) string { return k.Sign(audit.NewSecret(kind, id, value)) }
	if id(key, audit.KindAWSKey, "AKIAX", "") != id(key, audit.KindAWSKey, "AKIAX", "value") {
		t.Error("an access key is named by its id, with or without its secret half")
	}
	if id(key, "a", "", "value") != id(key, "b", "", "value") {
		t.Error("the same value is the same secret, whatever found it")
	}
	if id(key, "a", "", "value") == id(key, "a", "", "other") || id(key, "a", "", "value") == id(other, "a", "", "value") {
		t.Error("fingerprints do not tell values or keys apart")
	}
	if key.Digest("ab", "c") == key.Digest("a", "bc") {
		t.Error("parts run together")
	}
}

func TestRedactor(t *testing.T) {
	long := "sEcret" + strings.Repeat("0", 20) + "tail"
	s := audit.NewSecret("k", "", long)
	s.SetPart(audit.PartRegion, "eu-central-1")
	short, word, weak := audit.NewSecret("k", "", "a/b"), audit.NewSecret("k", "", "config"), audit.NewSecret("k", "", "hunter2")
	got := audit.Redactor([]*audit.Secret{s, short, word, weak})("x/" + long + "/eu-central-1/a/b/config/hunter2")
	if want := "x/sEcr…tail/eu-central-1/a/b/config/…"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestHint(t *testing.T) {
	err := fmt.Errorf("scanning: %w", audit.Hint(fmt.Errorf("reading: %w", audit.ErrAuth), "set GH_TOKEN"))
	if !errors.Is(err, audit.ErrAuth) || audit.HintOf(err) != "set GH_TOKEN" || strings.Contains(err.Error(), "GH_TOKEN") {
		t.Errorf("hint is lost or mixed into %q", err)
	}
}
