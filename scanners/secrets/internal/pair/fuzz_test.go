package pair

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/leakreach/leakreach/audit"
)

// FuzzFind holds that spans lie in the text, that what they stand for has its shape, and that the answer is the same twice.
func FuzzFind(f *testing.F) {
	for _, h := range hidings {
		text, _ := fill(h.text, newKeys(9))
		f.Add([]byte(text))
	}
	f.Add([]byte(strings.Repeat("{[(", 100) + strings.Repeat("}])", 200) + "\n[a]\n"))
	f.Add([]byte(strings.Repeat("AKIA", 1000) + strings.Repeat("%2F", 1000) + strings.Repeat("\\", 1000)))
	f.Fuzz(func(t *testing.T, text []byte) {
		got := find(text)
		if !reflect.DeepEqual(got, find(text)) {
			t.Fatal("two answers for one text")
		}
		for _, x := range got {
			for _, s := range append([]Span{x.ID, x.Secret, x.Token, x.Region}, x.Candidates...) {
				if s.Start < 0 || s.End > len(text) || s.Start > s.End {
					t.Fatalf("span %v outside of %d bytes", s, len(text))
				}
			}
			if !x.ID.empty() && x.ID.End-x.ID.Start != 20 {
				t.Errorf("id of %d bytes", x.ID.End-x.ID.Start)
			}
			for _, s := range append(slices.Clone(x.Candidates), x.Secret) {
				if v := Value(text, s); v != "" && len(v) != 40 {
					t.Errorf("secret of %d characters", len(v))
				}
			}
		}
	})
}

// FuzzJoin holds that no finding but halves is lost and that a half is used once.
func FuzzJoin(f *testing.F) {
	f.Add([]byte("I1p1 S1p1 S2p2"), uint64(1))
	f.Add([]byte("I1c1 I1c2 S1c2 I2c2 S1c3 X9"), uint64(2))
	f.Fuzz(func(t *testing.T, script []byte, seed uint64) {
		k := newKeys(seed)
		ids, secrets := []string{k.id(), k.id(), k.tempID()}, []string{k.secret(), k.secret(), k.token()}
		var in []audit.Finding
		others := 0
		for i := 0; i+2 < len(script) && i < 300; i += 3 {
			at := file(string(script[i+1:i+2]), string(script[i+1:i+3]), int(script[i+2]))
			if script[i+1]%3 == 0 {
				at = variable(string(script[i+1:i+2])+"/x", string(script[i+2:i+3]))
			}
			switch n := int(script[i+1]) % 3; script[i] % 4 {
			case 0:
				in = append(in, found(ids[n], "", at))
			case 1:
				in = append(in, found("", secrets[n], at))
			case 2:
				in = append(in, found(ids[n], secrets[0], at))
			default:
				in = append(in, audit.Finding{Rule: "other", Locations: []audit.Location{at}})
				others++
			}
		}
		seen := map[string]bool{}
		for _, x := range Join(in) {
			switch {
			case x.Secret == nil:
				others--
			case x.Candidate || x.Secret.ID == "":
				t.Error("a candidate came back")
			case seen[x.Secret.ID]:
				t.Error("an id came back twice")
			default:
				seen[x.Secret.ID] = true
			}
		}
		if others != 0 {
			t.Errorf("%d other findings lost", others)
		}
	})
}
