package pypi_test

import (
	"strings"
	"testing"
	"time"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/audit/audittest"
	"github.com/leakreach/leakreach/verify/pypi"
)

// head is what every token of pypi.org begins with.
const head = "pypi-" + "AgEIcHlwaS5vcmcC"

// Tokens were made with pypitoken 7.0.1, for the key "k" and the identifier "abc"; see TestVerify for what it calls their restrictions.
func TestVerify(t *testing.T) {
	at := time.Date(2026, 11, 27, 0, 0, 0, 0, time.UTC)
	v := pypi.New(audit.Env{Now: func() time.Time { return at }})
	for _, c := range []struct {
		name, token, uploads, expires string
		validity                      audit.Validity
	}{
		{"nothing", head + "A2FiYwAABiAOdcjLW0dykwQgdFAnUfjNF4G7MOAtA2mL8FLKM5N-7g", "all projects of its owner", "", audit.Unchecked},
		{"date and project names", head + "A2FiYwACElswLCAyMDAwMDAwMDAwLCAxXQACGlsxLCBbInJlcXVlc3RzIiwgImZsYXNrIl1dAAAGIALbvKvMo3FW1IJehAOOkPYcYmRA_OpOS4R1CUMWKBV4",
			"requests, flask", "2033-05-18T03:33:20Z", audit.Unchecked},
		{"expired", head + "A2FiYwACElswLCAxMDAwMDAwMDAwLCAxXQAABiCHJ8Xyqjgbq3ChIc7ymvFP5orCpmmvctFVsj8ir7pIDg", "all projects of its owner", "2001-09-09T01:46:40Z", audit.Inactive},
		{"project ids", head + "A2FiYwACE1syLCBbImEtYiIsICJjLWQiXV0AAAYgW_n1aNGCq-n_pHCBhNsbCurdo96y140O-EtNqShgR-0", "2 projects, named by ids", "", audit.Unchecked},
		{"a user", head + "A2FiYwACDVszLCAiMDAwMC0xIl0AAAYgsh-lWSHInYm-hlFRur5Oa_yog_lVlHk1fwZE6sksJ_g", "all projects of its owner", "", audit.Unchecked},
		{"older names", head + "A2FiYwACNnsidmVyc2lvbiI6IDEsICJwZXJtaXNzaW9ucyI6IHsicHJvamVjdHMiOiBbImZsYXNrIl19fQAABiAuD-PSzyRUJr3u_F5N9YFemIO29Xw9ZYe7z8Zbgz-Hlg", "flask", "", audit.Unchecked},
		{"older nothing", head + "A2FiYwACJXsidmVyc2lvbiI6IDEsICJwZXJtaXNzaW9ucyI6ICJ1c2VyIn0AAAYgqo0jm_xQw_rnWSOIA7rVegUuYJRqwdBZNFPzqBHE05k", "all projects of its owner", "", audit.Unchecked},
		{"no macaroon", "pypi-" + strings.Repeat("A", 60), "", "", audit.Unchecked},
		{"cut off", (head + "A2FiYwACElswLCAyMDAwMDAwMDAwLCAxXQACGlsxLCBbInJlcXVlc3RzIiwgImZsYXNrIl1d")[:80], "", "", audit.Unchecked},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := audit.NewSecret("pypi-upload-token", "", c.token)
			verdict, err := v.Verify(t.Context(), s)
			if err != nil {
				t.Fatal(err)
			}
			if verdict.Validity != c.validity || verdict.Facts["uploads_to"] != c.uploads || verdict.Facts["expires"] != c.expires {
				t.Errorf("got %+v", verdict)
			}
			if (c.uploads == "") != (verdict.Facts["form"] != "") {
				t.Errorf("form: %+v", verdict.Facts)
			}
		})
	}
	audittest.Verifier(t, v, []*audit.Secret{audit.NewSecret("pypi-upload-token", "", head+"A2FiYwAABiAOdcjLW0dykwQgdFAnUfjNF4G7MOAtA2mL8FLKM5N-7g")})
}

// Whatever was found, nothing is read past its end, and no fact repeats the token.
func FuzzVerify(f *testing.F) {
	f.Add(head + "A2FiYwAABiAOdcjLW0dykwQgdFAnUfjNF4G7MOAtA2mL8FLKM5N-7g")
	f.Add("pypi-" + "Ag")
	v := pypi.New(audit.Env{Now: time.Now})
	f.Fuzz(func(t *testing.T, token string) {
		verdict, err := v.Verify(t.Context(), audit.NewSecret("pypi-upload-token", "", token))
		if err != nil {
			t.Fatal(err)
		}
		for _, fact := range verdict.Facts {
			if len(token) > 12 && strings.Contains(fact, token) {
				t.Errorf("shows the token: %q", fact)
			}
		}
	})
}
