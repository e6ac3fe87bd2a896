package resolve

import "testing"

func TestAffects(t *testing.T) {
	for _, c := range []struct {
		version, in string
		want        string // "yes", "no", "unknown"
	}{
		{"v45.0.7", "<= 45.0.7", "yes"}, {"45.0.8", "<= 45.0.7", "no"}, {"v46", "<= 45.0.7", "no"}, {"v44", "<= 45.0.7", "yes"}, {"v45", "<= 45.0.7", "unknown"},
		{"v45.0", "< 45.0.7", "unknown"}, {"v4.1.0", "< 4.1", "no"}, {"v4.0.9", "< 4.1", "yes"}, {"v4.1.1", "<= 4.1", "no"}, {"4.1.0", "= 4.1", "yes"},
		{"v3.2.1", ">= 3.0.0, < 3.2.2", "yes"}, {"v2.9.9", ">= 3.0.0, < 3.2.2", "no"}, {"v3.2.2", ">= 3.0.0, < 3.2.2", "no"}, {"v3", ">= 3.0.0, < 4.0.0", "unknown"},
		{"v5", ">= 3.0.0, < 4.0.0", "no"}, {"v2.0.0-rc1", "< 2.0.0", "yes"}, {"v2.0.0", "< 2.0.0-rc1", "no"}, {"v2.0.0-rc1", "< 2.0.0-rc2", "unknown"},
		{"main", "< 2", "unknown"}, {"", "< 2", "unknown"}, {"v1", "", "unknown"}, {"v1", "~> 1", "unknown"}, {"v1", "< x", "unknown"}, {"v1.2", "> 0", "yes"}, {"v1", "<", "unknown"},
		{"v1.0.0", "<2.0.0", "yes"}, {"v1.0.0+build", "= 1.0.0", "yes"},
	} {
		affected, known := (&Advisory{Range: c.in}).Affects(c.version)
		got := "no"
		if !known {
			got = "unknown"
		} else if affected {
			got = "yes"
		}
		if got != c.want {
			t.Errorf("%q in %q: %s, want %s", c.version, c.in, got, c.want)
		}
	}
}

func TestVersion(t *testing.T) {
	for want, tags := range map[string][]string{"v45.0.9": {"latest", "v45", "v45.0.9", "v45.0.8"}, "": {"latest", "x1"}, "v4": {"v4"}, "1.2.3": {"v1.2", "1.2.3", "v2"}} {
		if got := (&Meaning{Tags: tags}).Version(); got != want {
			t.Errorf("%q: %q, want %q", tags, got, want)
		}
	}
}

// Whatever a range and a version say, an answer is known or it is not; of what is not nothing is said.
func FuzzAffects(f *testing.F) {
	f.Add("v1.2.3", ">= 1.0, < 2-rc")
	f.Add("main", "=,<")
	f.Fuzz(func(t *testing.T, version, in string) {
		if affected, known := (&Advisory{Range: in}).Affects(version); affected && !known {
			t.Fatal("affected, and not known")
		}
	})
}
