package github

import (
	"fmt"
	"iter"
	"net/http"
	"net/url"
	"path"
	"strconv"
	"strings"
	"time"

	"github.com/google/go-github/v60/github"

	"github.com/leakreach/leakreach/audit"
)

// texts sends what people wrote beside git: issues and pull requests, comments on them and on commits, reviews, releases with their files.
func (r *records) texts() {
	if r.sources.Has(audit.SourceIssues) {
		reviewed := r.issues()
		r.comments("comments on issues", "issues/comments", true)
		r.comments("comments on pull requests", "pulls/comments", true)
		r.comments("comments on commits", "comments", false)
		r.reviews(reviewed)
	}
	if r.sources.Has(audit.SourceReleases) {
		r.releases()
	}
}

// An issue or pull request, a comment, a review, a release, as far as it is a text.
type text struct {
	ID          int64     `json:"id"`
	Number      int64     `json:"number"`
	Title       string    `json:"title"`
	Name        string    `json:"name"`
	Tag         string    `json:"tag_name"`
	Body        string    `json:"body"`
	Path        string    `json:"path"`
	CommitID    string    `json:"commit_id"`
	IssueURL    string    `json:"issue_url"`
	PullURL     string    `json:"pull_request_url"`
	CreatedAt   time.Time `json:"created_at"`
	UpdatedAt   time.Time `json:"updated_at"`
	SubmittedAt time.Time `json:"submitted_at"`
	PublishedAt time.Time `json:"published_at"`
	Pull        *struct{} `json:"pull_request"`
	Assets      []asset   `json:"assets"`
}

// An asset is a file of a release.
type asset struct {
	ID        int64     `json:"id"`
	Name      string    `json:"name"`
	Label     string    `json:"label"`
	State     string    `json:"state"`
	Size      int64     `json:"size"`
	UpdatedAt time.Time `json:"updated_at"`
}

// changed is when it last was. A release is as old as its commit, whenever it was published.
func (x *text) changed() (last time.Time) {
	for _, t := range []time.Time{x.CreatedAt, x.UpdatedAt, x.SubmittedAt, x.PublishedAt} {
		if t.After(last) {
			last = t
		}
	}
	return last
}

// listTexts yields what a path below the repository's lists.
func (r *records) listTexts(below string, q url.Values) iter.Seq2[*text, error] {
	return paged(r.ctx, otherPage, func(x *text) string { return strconv.FormatInt(x.ID, 10) }, func(o github.ListOptions) ([]*text, int, *github.Response, error) {
		var out []*text
		query := pageQuery(o)
		for k, v := range q {
			query[k] = v
		}
		resp, err := r.get(r.ctx, r.path()+"/"+below, query, &out)
		if err == nil {
			r.asked(resp.Response)
		}
		return out, 0, resp, err
	})
}

// newer asks for what was changed since the past listing, the last change first: so what changes meanwhile is not missed.
func (r *records) newer() url.Values {
	q := url.Values{"sort": {"updated"}, "direction": {"desc"}}
	if since := r.since(); !since.IsZero() {
		q.Set("since", since.UTC().Format(time.RFC3339))
	}
	return q
}

// text sends one.
func (r *records) text(name, file, page string, x *text, parts ...string) {
	content := strings.Join(parts, "\n\n")
	if strings.TrimSpace(content) == "" {
		return
	}
	r.send(audit.Item{
		Kind: audit.KindText, Size: int64(len(content)), Content: []byte(content),
		At: audit.Location{Target: r.target.Name, Kind: audit.InText, Path: file, Name: name, URL: page, At: x.changed()},
	}, nil)
}

// issues sends issues and pull requests, and returns the numbers of the latter, of which the reviews are to be asked for. Where issues are switched
// off, pull requests have a listing of their own, which cannot be asked for by time.
func (r *records) issues() (pulls []int64) {
	q := r.newer()
	q.Set("state", "all")
	below := "issues"
	for {
		off := false
		for x, err := range r.listTexts(below, q) {
			switch {
			case below == "issues" && refusal(err) == http.StatusGone:
				off = true
			case err != nil:
				r.fail(below, err, time.Time{})
			case below == "pulls" && x.changed().Before(r.since()):
				return pulls // those that follow are older
			default:
				pulls = r.issue(x, below == "pulls" || x.Pull != nil, pulls)
			}
			if r.ended {
				return nil
			}
		}
		if !off {
			return pulls
		}
		below = "pulls"
		q.Del("since")
	}
}

func (r *records) issue(x *text, pull bool, pulls []int64) []int64 {
	number, kind, name := strconv.FormatInt(x.Number, 10), "issues", "issue "
	if pull {
		kind, name = "pull", "pull request "
		pulls = append(pulls, x.Number)
	}
	r.text(name+number, path.Join(kind, number), r.page(r.owner, r.repo, kind, number), x, x.Title, x.Body)
	return pulls
}

// comments sends those of one listing. Those on commits cannot be asked for by time.
func (r *records) comments(what, below string, byTime bool) {
	if r.ended {
		return
	}
	var q url.Values
	if byTime {
		q = r.newer()
	}
	for x, err := range r.listTexts(below, q) {
		switch {
		case err != nil:
			r.fail(what, err, time.Time{})
		case byTime || !x.changed().Before(r.since()):
			name, file, page := r.comment(x)
			r.text(name, file, page, x, x.Body)
		}
		if r.ended {
			return
		}
	}
}

// comment names one: what it is on, and its own number.
func (r *records) comment(x *text) (name, file, page string) {
	id := strconv.FormatInt(x.ID, 10)
	last := func(address string) string {
		return strconv.Itoa(atoi(address[strings.LastIndexByte(address, '/')+1:]))
	}
	on, anchor := []string{"commit", x.CommitID}, "#commitcomment-"+id
	switch {
	case x.PullURL != "" && !x.SubmittedAt.IsZero():
		on, anchor = []string{"pull", last(x.PullURL)}, "#pullrequestreview-"+id
	case x.PullURL != "":
		on, anchor = []string{"pull", last(x.PullURL)}, "#discussion_r"+id
	case x.IssueURL != "":
		on, anchor = []string{"issues", last(x.IssueURL)}, "#issuecomment-"+id
	}
	name = map[string]string{"commit": "comment on commit ", "pull": "comment on pull request ", "issues": "comment on issue "}[on[0]] + on[1]
	return name, path.Join(on...) + anchor, r.page(append([]string{r.owner, r.repo}, on...)...) + anchor
}

// mostReviewed bounds the requests for reviews, of which each pull request takes one: an hour's share of a token has three times that.
const mostReviewed = 1000

// reviews sends those of some pull requests.
func (r *records) reviews(pulls []int64) {
	if n := len(pulls); n > mostReviewed && !r.ended {
		pulls = pulls[:mostReviewed]
		r.gap(fmt.Sprintf("reviews of %d pull requests", n-mostReviewed), fmt.Sprintf("those of the %d that changed last were read", mostReviewed))
	}
	for _, n := range pulls {
		number := strconv.FormatInt(n, 10)
		for x, err := range r.listTexts("pulls/"+number+"/reviews", nil) {
			if err != nil {
				r.fail("reviews of pull request "+number, err, time.Time{})
			} else {
				x.PullURL = number
				name, file, page := r.comment(x)
				r.text(strings.Replace(name, "comment on", "review of", 1), file, page, x, x.Body)
			}
			if r.ended {
				return
			}
		}
	}
}

// releases sends releases and their files. Nothing asks for them by time; of those that are as they were, the files are not downloaded.
func (r *records) releases() {
	if r.ended {
		return
	}
	for x, err := range r.listTexts("releases", nil) {
		if err != nil {
			r.fail("releases", err, time.Time{})
		} else {
			if !x.changed().Before(r.since()) {
				r.text("release "+x.Tag, path.Join("releases", plainName(x.Tag)), r.page(r.owner, r.repo, "releases/tag", x.Tag), x, x.Name, x.Body)
			}
			for _, a := range x.Assets {
				if a.State == "uploaded" && !a.UpdatedAt.Before(r.since()) && !r.ended {
					r.asset(x, a)
				}
			}
		}
		if r.ended {
			return
		}
	}
}

func (r *records) asset(x *text, a asset) {
	file := path.Join("releases", plainName(x.Tag), plainName(a.Name))
	r.blob(blob{
		what: file, kind: audit.KindArtifact, path: r.path() + "/releases/assets/" + strconv.FormatInt(a.ID, 10), accept: "application/octet-stream", size: a.Size,
		at: audit.Location{
			Target: r.target.Name, Kind: audit.InArtifact, Path: file, Name: "release " + x.Tag, URL: r.page(r.owner, r.repo, "releases/tag", x.Tag), At: a.UpdatedAt,
		},
	})
}
