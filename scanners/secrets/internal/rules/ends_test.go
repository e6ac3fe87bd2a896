package rules

import (
	"regexp"
	"testing"

	"github.com/zricethezav/gitleaks/v8/config"
)

func TestWiden(t *testing.T) {
	for _, c := range []struct {
		pattern   string
		new, none []string // texts found by the widened expression alone, and by neither
	}{
		{
			`\b(abc_[a-f0-9]{4})`,
			[]string{"abc_12ab<", "abc_12ab&", "abc_12ab/x", "abc_12ab=", "abc_12ab. x", "abc_12ab-->", "abc_12ab.", `abc_12ab\u0022`, "abc_12ab\x00", "abc_12ab\x1b[0m", "abc_12ab”"},
			[]string{"abc_12ab1<", "abc_12abQ<", "abc_12ab_<", "abc_12ab.tgz", "abc_12ab-x", "abc_12ab(x)", "abc_12ab[0]", "abc_12ab{}", "abc_12ab\xdd\x06", "xabc_12ab<", "ABC_12AB<"},
		},
		{
			`\b(AbCd(?i)[a-z0-9]{4})`, // may be a piece of base64
			[]string{"AbCdx2X4<", "AbCdx2X4%2F", "AbCdx2X4. "},
			[]string{"AbCdx2X4/x", "AbCdx2X4//", "AbCdx2X4=\n", "AbCdx2X4+x", "AbCdx2X4=x", "AbCdx2X4\u017f<"},
		},
		{
			`(?i)\b(abc\.[a-z0-9=_\-\.]{4,6})`, // "." is in its alphabet
			[]string{"abc.1234<", "ABC.123456,", "abc.12..)"},
			[]string{"abc.123<", "abc.1234567<", "abc.123456.<"},
		},
		{
			`\b(abc_[Z-a/]{4,6})`, // a backslash may be an escape
			[]string{"abc_Z^_a<", "abc_Z_a^/]<"},
			[]string{`abc_Z\aa<`, `abc_Z^_a\u0022`},
		},
		{
			`\b((?:hvs\.[a-z]{4}|s\.[a-z]{4}))`,
			[]string{"hvs.abcd<"},
			[]string{"s.abcd<"},
		},
		{
			`(?i)\b(\b(sgp_[a-f0-9]{4}_[a-f0-9]{4}|sgp_[a-f0-9]{4}|[a-f0-9]{4})\b)`,
			[]string{"sgp_1234<", "sgp_1234_12ab)"},
			[]string{"1234<", "sgp_1234_<"},
		},
		{
			`(?i)[\w.-]{0,50}?(?:jira)=([a-z0-9]{4})` + end + `|\b(ATATT3[a-z]{4})`,
			[]string{"ATATT3abcd<", "atatt3abcd<"},
			[]string{"jira=abcd<"},
		},
	} {
		was, is := regexp.MustCompile(c.pattern+end), regexp.MustCompile(widen(c.pattern+end))
		for _, text := range c.new {
			if was.MatchString(text) || !is.MatchString(text) {
				t.Errorf("%s does not find %q", is, text)
			}
		}
		for _, text := range c.none {
			if is.MatchString(text) {
				t.Errorf("%s finds %q", is, text)
			}
		}
	}
}

func TestNotWidened(t *testing.T) {
	for _, pattern := range []string{
		`(?i)[\w.-]{0,50}?(?:adafruit)(?:[ \t\w.-]{0,20})=([a-z0-9_-]{32})` + end, // knows a keyword and a length
		`(?i)\b(\d{15,16}(\||%)[0-9a-z\-_]{27,40})` + end,                         // spells out nothing
		`\b(s\.[a-z0-9]{24})` + end,                                               // two characters
		`\b(ab?c?_?[a-z0-9]{24})` + end,                                           // one
		`\b(abc_\S{24})` + end,                                                    // has any character
		`\b(abc_é[a-z]{24})` + end,                                                // has others than ASCII's
		`\b(abc_[a-z0-9]{24})\b`,                                                  // ends otherwise
		`\b(abc_(` + end,                                                          // is none
	} {
		if is := widen(pattern); is != pattern {
			t.Errorf("%s became %s", pattern, is)
		}
	}
}

// TestOwnNotWidened also counts, so that it is seen if gitleaks ends its expressions otherwise one day.
func TestOwnNotWidened(t *testing.T) {
	own, _, err := Load(Source{Data: []byte("[extend]\nuseDefault=false\n" + config.DefaultConfig)})
	if err != nil {
		t.Fatal(err)
	}
	set := Default()
	changed := 0
	for i, r := range set.Rules {
		if was := own.Rules[i]; was.ID != r.ID || r.Regex != was.Regex {
			changed++
			if r.Regex != widen(was.Regex) {
				t.Errorf("%s: %s", r.ID, r.Regex)
			}
		}
	}
	if changed != 50 {
		t.Errorf("%d of the default rules are widened", changed)
	}
	const mine = `\b(npm_[a-z0-9]{36})` + end
	set, _, err = Load(Source{Data: []byte("[[rules]]\nid='npm-access-token'\nregex='''" + mine + "'''\n")})
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range set.Rules {
		if r.ID == "npm-access-token" && r.Regex != mine {
			t.Errorf("the user's own expression became %s", r.Regex)
		}
	}
}
