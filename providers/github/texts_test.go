package github

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/providers/forgetest"
)

func withTalk() *forgetest.GitHub {
	g := acme(1)
	old := day.AddDate(0, 0, -30)
	g.Repos[0].Issues = []forgetest.Issue{
		{Number: 2, Title: "fix", Body: "SECRET", Pull: true, Closed: true, Updated: old,
			Comments: []forgetest.Comment{{ID: 21, Body: "one\nSECRET", Updated: old}}, Reviews: []forgetest.Comment{{ID: 22, Body: "SECRET", Updated: old}},
			ReviewComments: []forgetest.Comment{{ID: 23, Body: "SECRET", Updated: old}}},
		{Number: 1, Title: "SECRET", Updated: old, Comments: []forgetest.Comment{{ID: 11, Body: "SECRET", Updated: old}, {ID: 12, Body: " ", Updated: old}}},
	}
	g.Repos[0].CommitComments = []forgetest.Comment{{ID: 31, Body: "SECRET", Commit: strings.Repeat("a", 40), Updated: old}}
	g.Repos[0].Releases = []forgetest.Release{{ID: 41, Tag: "v1/a", Body: "x\n\nSECRET", Assets: []forgetest.Asset{{ID: 51, Name: "notes.txt", Content: []byte("SECRET")}}}}
	return g
}

func TestTexts(t *testing.T) {
	r := recorderOf(t, withTalk(), Options{Sources: audit.SourceIssues | audit.SourceReleases})
	got := r.read(t, "")
	want := []string{
		"text pull/2:3 pull request 2 acme/r000/pull/2",
		"text issues/1:1 issue 1 acme/r000/issues/1",
		"text issues/2#issuecomment-21:2 comment on issue 2 acme/r000/issues/2#issuecomment-21",
		"text issues/1#issuecomment-11:1 comment on issue 1 acme/r000/issues/1#issuecomment-11",
		"text pull/2#discussion_r23:1 comment on pull request 2 acme/r000/pull/2#discussion_r23",
		"text commit/" + strings.Repeat("a", 40) + "#commitcomment-31:1 comment on commit " + strings.Repeat("a", 40) + " acme/r000/commit/" + strings.Repeat("a", 40) + "#commitcomment-31",
		"text pull/2#pullrequestreview-22:1 review of pull request 2 acme/r000/pull/2#pullrequestreview-22",
		"text releases/v1/a:5 release v1/a acme/r000/releases/tag/v1/a",
		"artifact releases/v1/a/notes.txt:1 release v1/a acme/r000/releases/tag/v1/a",
	}
	if !slices.Equal(got.found, want) || len(got.gaps) > 0 || len(got.failures) > 0 {
		t.Errorf("found\n%s\nwant\n%s\ngaps %q %v", strings.Join(got.found, "\n"), strings.Join(want, "\n"), got.gaps, got.failures)
	}
	// The second listing has what is new, and of what is as it was asks for nothing but lists.
	again := r.read(t, got.state)
	if !again.kept || len(again.found) > 0 || again.state != got.state {
		t.Errorf("%+v", again)
	}
	before := len(r.Requests())
	r.Change(func() {
		x := &r.Repos[0].Issues[1]
		x.Updated = day.Add(time.Minute)
		x.Comments = append(x.Comments, forgetest.Comment{ID: 13, Body: "SECRET", Updated: day.Add(time.Minute)})
	})
	again = r.read(t, got.state)
	if want := []string{want[1], "text issues/1#issuecomment-13:1 comment on issue 1 acme/r000/issues/1#issuecomment-13"}; !slices.Equal(again.found, want) || len(r.Requests())-before != 5 {
		t.Errorf("%q after %d requests, want %q after 5", again.found, len(r.Requests())-before, want)
	}
}

// A listing that cannot be read is a gap, and the others are read; the next scan asks again for what failed in passing, and for all once there may be a right to it.
func TestTextsInTrouble(t *testing.T) {
	for _, test := range []struct {
		path   string
		status int
		gap    string
		state  bool
	}{
		{"/issues", http.StatusForbidden, "issues: 403 Forbidden: no", false},
		{"/issues", http.StatusBadGateway, "issues: 502 Bad Gateway: no", false},
		{"/issues/comments", http.StatusNotFound, "comments on issues: 404 Not Found: no right to read it, or not offered here", true},
		{"/pulls/2/reviews", http.StatusInternalServerError, "reviews of pull request 2: 500 Internal Server Error: no", false},
		{"/releases", http.StatusForbidden, "releases: 403 Forbidden: no", false},
		{"/releases/assets/51", http.StatusNotFound, "releases/v1/a/notes.txt: GET", true},
	} {
		r := recorderOf(t, withTalk(), Options{Sources: audit.SourceIssues | audit.SourceReleases})
		whole := len(r.read(t, "").found)
		r.Fault = func(w http.ResponseWriter, q *http.Request) bool {
			return strings.HasSuffix(q.URL.Path, test.path) && forgetest.Fail(w, test.status, "no")
		}
		got := r.read(t, "")
		if len(got.gaps) != 1 || !strings.HasPrefix(got.gaps[0], test.gap) || len(got.failures) > 0 || len(got.found) == 0 || len(got.found) >= whole || (got.state != "") != test.state {
			t.Errorf("%s %d: %d of %d found, gaps %q, want %q; state %q", test.path, test.status, len(got.found), whole, got.gaps, test.gap, got.state)
		}
	}
}

// Where issues are switched off, pull requests are read all the same.
func TestPullRequestsWithoutIssues(t *testing.T) {
	r := recorderOf(t, withTalk(), Options{Sources: audit.SourceIssues})
	r.Fault = func(w http.ResponseWriter, q *http.Request) bool {
		return strings.HasSuffix(q.URL.Path, "/issues") && forgetest.Fail(w, http.StatusGone, "Issues has been disabled in this repository.")
	}
	got := r.read(t, "")
	if len(got.found) != 6 || !strings.HasPrefix(got.found[0], "text pull/2:3 pull request 2") || len(got.gaps) > 0 {
		t.Errorf("%q, gaps %q", got.found, got.gaps)
	}
	if again := r.read(t, got.state); len(again.found) > 0 {
		t.Errorf("%q", again.found)
	}
}

// Files of any size are read: those that a scan cannot hold, as they come.
func TestArtifacts(t *testing.T) {
	large := strings.Repeat("a line of text\n", 1<<16)
	g := withRuns(forgetest.Run{ID: 90, Attempts: []forgetest.Attempt{{}}, Artifacts: []forgetest.Artifact{
		{ID: 3, Name: "small", Files: map[string]string{"a": "x", "../b": "y"}, Created: day.Add(-time.Hour)},
		{ID: 2, Name: "large", Files: map[string]string{"a": large + "SECRET\n", "b.bin": "\x00" + large, "c": "SECRET"}, Created: day.Add(-2 * time.Hour)},
		{ID: 1, Name: "old", Expired: true, Created: day.AddDate(-1, 0, 0)},
	}})
	g.Repos[0].Releases = []forgetest.Release{{ID: 41, Tag: "v1", Assets: []forgetest.Asset{{ID: 51, Name: "log", Content: []byte(large + "SECRET\n" + large)}}}}
	r := recorderOf(t, g, Options{Sources: audit.SourceArtifacts | audit.SourceReleases})
	r.provider.env.Memory = 8 << 10 // of which nearly all is more than an eighth
	got := r.read(t, "")
	want := []string{
		"artifact runs/90/small!../b small http://",
		"artifact runs/90/small!a small http://",
		"artifact runs/90/large!a:65537 large acme/r000/actions/runs/90/artifacts/2",
		"artifact runs/90/large!c:1 large acme/r000/actions/runs/90/artifacts/2",
		"artifact releases/v1/log:65537 release v1 acme/r000/releases/tag/v1",
	}
	if !slices.EqualFunc(slices.Compact(got.found), want, strings.HasPrefix) {
		t.Errorf("found\n%s\nwant\n%s", strings.Join(got.found, "\n"), strings.Join(want, "\n"))
	}
	// One that breaks off, or is more than it says, is a gap; what came is read.
	for _, test := range []struct {
		change func([]byte) []byte
		found  int
		gap    string
	}{
		{func(b []byte) []byte { return b[:bytes.LastIndex(b, []byte("PK\x03\x04"))] }, 1, "artifact large of run 90: unexpected EOF"},
		{func(b []byte) []byte { return []byte("<Error/>") }, 0, "none"},
		{func([]byte) []byte { return nil }, 0, "artifact large of run 90: 500 Internal Server Error: the storage did not hand it out"},
		{func(b []byte) []byte { return bytes.ReplaceAll(b, []byte("b.bin"), []byte("b\x00\x1b\xff/")) }, 2, "runs/90/large!b\x00\x1b\ufffd: larger than"},
	} {
		r.Blobs.Fault = func(w http.ResponseWriter, q *http.Request) bool {
			if !strings.HasSuffix(q.URL.Path, "/2.zip") {
				return false
			}
			rec := httptest.NewRecorder()
			again := r.Blobs.Fault
			r.Blobs.Fault = nil
			r.Blobs.ServeHTTP(rec, q)
			r.Blobs.Fault = again
			if b := test.change(rec.Body.Bytes()); b != nil {
				_, _ = w.Write(b)
			} else {
				w.WriteHeader(http.StatusInternalServerError)
			}
			return true
		}
		got := r.read(t, "")
		n := len(slices.DeleteFunc(got.found, func(f string) bool { return !strings.Contains(f, "/large!") }))
		if n != test.found || !slices.ContainsFunc(got.gaps, func(g string) bool { return strings.HasPrefix(g, test.gap) }) && test.gap != "none" {
			t.Errorf("%d found, want %d; gaps %q, want %q", n, test.found, got.gaps, test.gap)
		}
	}
	wantGaps := []string{"runs/90/large!b.bin: larger than 0 MiB: searched as it is, and not for what is packed in it", "1 artifacts: expired"}
	if !slices.Equal(got.gaps, wantGaps) || len(got.failures) > 0 {
		t.Errorf("gaps %q, want %q; %v", got.gaps, wantGaps, got.failures)
	}
}
