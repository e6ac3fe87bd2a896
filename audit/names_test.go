package audit

import (
	"strings"
	"testing"
)

// Names that would read as several, or as none, are not among them.
func TestNameList(t *testing.T) {
	if got := NameList([]string{"a b", "", "c,d", "e\nf", "g\r", "h"}); got != "a b,h" {
		t.Errorf("%q", got)
	}
	if got := NameList(strings.Split(strings.Repeat("n ", maxNames), " ")); strings.Count(got, "n") != maxNames || strings.Contains(got, "…") {
		t.Errorf("as many as are listed: %q", got)
	}
	if got := NameList(strings.Split(strings.Repeat("n ", maxNames+1), " ")); strings.Count(got, "n") != maxNames || !strings.HasSuffix(got, ",…") {
		t.Errorf("one more: %q", got)
	}
	for _, names := range [][]string{nil, {"a"}, {"a", "b,c"}, strings.Split(strings.Repeat("n ", maxNames+1), " ")} {
		if got, all := SomeNames(names), strings.TrimSuffix(NameList(names), ",…"); got != strings.TrimPrefix(all+",…", ",") {
			t.Errorf("%q of %q", got, all)
		}
	}
}
