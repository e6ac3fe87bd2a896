package gitea

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"iter"
	"net/http"
	"net/url"
	"path"
	"strconv"
	"strings"
	"time"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/internal/lazyregexp"
	"github.com/leakreach/leakreach/providers/internal/forge"
)

// texts yields what people wrote beside git: issues and pull requests with their comments, releases, pages of the wiki, and the files at them.
func (h *place) texts(ctx context.Context, past string) iter.Seq2[audit.Item, error] {
	return func(yield func(audit.Item, error) bool) {
		l := &textList{place: h, ctx: ctx, yield: yield, head: "2 " + (h.opts.Sources & forge.Texts).String()}
		l.past.parse(l.head, past)
		l.now = l.past
		l.list()
	}
}

// A textList is a listing of what people wrote.
type textList struct {
	*place
	ctx       context.Context
	yield     func(audit.Item, error) bool
	head      string // of the state
	past, now textState
	broken    bool // something went wrong that need not the next time
	ended     bool // the consumer has had enough
}

// A textState is how far texts were read.
type textState struct {
	since time.Time // what was written until then; the server's time
	file  int64     // files up to that number
	wiki  string    // a digest of the pages' commits
}

func (s textState) String() string {
	return s.since.UTC().Format(time.RFC3339) + " " + strconv.FormatInt(s.file, 10) + " " + s.wiki
}

// parse leaves the zero state where text is none.
func (s *textState) parse(head, text string) {
	text, ok := strings.CutPrefix(text, head+" ")
	fields := strings.Split(text, " ")
	if !ok || len(fields) != 3 {
		return
	}
	since, err := time.Parse(time.RFC3339, fields[0])
	file, err2 := strconv.ParseInt(fields[1], 10, 64)
	if err == nil && err2 == nil {
		*s = textState{since, file, fields[2]}
	}
}

func (l *textList) send(it audit.Item, err error) bool {
	l.ended = l.ended || !l.yield(it, err)
	return !l.ended
}

// fail sends a gap.
func (l *textList) fail(what, needs string, err error) bool {
	if l.ctx.Err() != nil {
		l.send(audit.Item{}, l.ctx.Err())
		l.ended = true
		return false
	}
	l.broken = true
	return l.send(audit.Item{}, l.gap(l.ctx, what, needs, err))
}

func (l *textList) list() {
	if l.past != (textState{}) && !l.send(audit.Item{Kind: audit.KindKept}, nil) {
		return
	}
	l.now.since = time.Time{}
	for _, kind := range []struct {
		source audit.Sources
		off    string // as the target's attributes name it
		list   func()
	}{
		{audit.SourceIssues, "issues", func() { l.issues(); l.comments() }},
		{audit.SourceReleases, "releases", l.releases},
		{audit.SourceWikis, "wiki", l.wiki},
	} {
		if l.opts.Sources.Has(kind.source) && !l.ended && !strings.Contains(l.target.Attrs["off"], kind.off) {
			kind.list()
		}
	}
	if !l.broken && !l.ended && !l.now.since.IsZero() {
		l.send(audit.Item{Kind: audit.KindState, State: l.head + " " + l.now.String()}, nil)
	}
}

// slack is for what was written shortly before the first answer, and is seen only after it.
const slack = time.Minute

// begun notes when the listing began, by the server's clock: what is written from then on is for the next one.
func (l *textList) begun(h http.Header) {
	if at, err := http.ParseTime(h.Get("Date")); err == nil && l.now.since.IsZero() {
		l.now.since = at.Add(-slack)
	}
}

// changed asks for what was written or changed since the past.
func (l *textList) changed(number int) url.Values {
	query := pageQuery(number)
	if !l.past.since.IsZero() {
		query.Set("since", l.past.since.UTC().Format(time.RFC3339))
	}
	return query
}

// getText reads page number of a list of texts.
func getText[T any](l *textList, path string, query url.Values) ([]*T, around, error) {
	var found []*T
	header, err := l.get(l.ctx, l.path+path, query, &found)
	l.begun(header)
	return present(found), aroundOf(header), err
}

// A file lies at a text.
type file struct {
	ID      int64     `json:"id"`
	UUID    string    `json:"uuid"`
	Name    string    `json:"name"`
	Size    int64     `json:"size"`
	Created time.Time `json:"created_at"`
}

type issue struct {
	ID      int64     `json:"id"`
	Number  int64     `json:"number"`
	Title   string    `json:"title"`
	Body    string    `json:"body"`
	Created time.Time `json:"created_at"` // what anybody adds to it moves the time of its update
	Pull    *struct{} `json:"pull_request"`
	Files   []file    `json:"assets"`
}

// issues are those that are open and those that are closed, and pull requests.
func (l *textList) issues() {
	for i, err := range paged(l.ctx, func(i *issue) string { return strconv.FormatInt(i.ID, 10) }, func(number, _ int) ([]*issue, around, error) {
		query := l.changed(number)
		query.Set("state", "all")
		return getText[issue](l, "/issues", query)
	}) {
		if err != nil {
			if !l.fail("issues and pull requests", "to read issues", err) {
				return
			}
			continue
		}
		name := fmt.Sprintf("issue %d", i.Number)
		if i.Pull != nil {
			name = fmt.Sprintf("pull request %d", i.Number)
		}
		page := fmt.Sprintf("issues/%d", i.Number)
		if !l.text(name, page, page, i.Created, i.Title+"\n\n"+i.Body, i.Files) || i.Pull != nil && !l.reviews(i.Number) {
			return
		}
	}
}

// A remark is a review of a pull request, or one of its comments on lines of code.
type remark struct {
	ID        int64     `json:"id"`
	Body      string    `json:"body"`
	Comments  int       `json:"comments_count"` // of a review
	Submitted time.Time `json:"submitted_at"`
	Created   time.Time `json:"created_at"` // of a comment
}

// reviews sends what was said in reviews of a pull request: the list of comments has none of it.
func (l *textList) reviews(number int64) bool {
	const needs = "to read pull requests"
	pull, page := fmt.Sprintf("/pulls/%d/reviews", number), fmt.Sprintf("pulls/%d", number)
	for r, err := range paged(l.ctx, func(r *remark) string { return strconv.FormatInt(r.ID, 10) }, func(n, _ int) ([]*remark, around, error) {
		return getText[remark](l, pull, pageQuery(n))
	}) {
		if err != nil {
			if !l.fail("reviews of pull requests", needs, err) {
				return false
			}
			continue
		}
		if r.Body != "" && !l.text(fmt.Sprintf("review of pull request %d", number), fmt.Sprintf("pulls/%d/reviews/%d", number, r.ID), page, r.Submitted, r.Body, nil) {
			return false
		}
		if r.Comments == 0 {
			continue
		}
		for c, err := range unpaged[remark](l.ctx, l.client, fmt.Sprintf("%s%s/%d/comments", l.path, pull, r.ID)) {
			if err != nil {
				if !l.fail("comments in reviews", needs, err) {
					return false
				}
				continue
			}
			if !l.text(fmt.Sprintf("review comment on pull request %d", number), fmt.Sprintf("pulls/%d/comments/%d", number, c.ID), fmt.Sprintf("%s#issuecomment-%d", page, c.ID), c.Created, c.Body, nil) {
				return false
			}
		}
	}
	return !l.ended
}

type comment struct {
	ID      int64     `json:"id"`
	Body    string    `json:"body"`
	Created time.Time `json:"created_at"`
	Issue   string    `json:"issue_url"` // its last part is the number; of it and the next one is empty
	Pull    string    `json:"pull_request_url"`
	Files   []file    `json:"assets"`
}

func (l *textList) comments() {
	if l.ended {
		return
	}
	for c, err := range paged(l.ctx, func(c *comment) string { return strconv.FormatInt(c.ID, 10) }, func(number, _ int) ([]*comment, around, error) {
		return getText[comment](l, "/issues/comments", l.changed(number))
	}) {
		if err != nil {
			if !l.fail("comments", "to read issues", err) {
				return
			}
			continue
		}
		number, _ := strconv.ParseInt(path.Base(c.Issue+c.Pull), 10, 64)
		name := fmt.Sprintf("comment on issue %d", number)
		if c.Pull != "" {
			name = fmt.Sprintf("comment on pull request %d", number)
		}
		if !l.text(name, fmt.Sprintf("issues/%d/comments/%d", number, c.ID), fmt.Sprintf("issues/%d#issuecomment-%d", number, c.ID), c.Created, c.Body, c.Files) {
			return
		}
	}
}

type release struct {
	ID      int64     `json:"id"`
	Tag     string    `json:"tag_name"`
	Title   string    `json:"name"`
	Body    string    `json:"body"`
	Created time.Time `json:"created_at"`
	Files   []file    `json:"assets"`
}

// releases lists all each time: nothing tells when their texts were changed.
func (l *textList) releases() {
	for r, err := range paged(l.ctx, func(r *release) string { return strconv.FormatInt(r.ID, 10) }, func(number, _ int) ([]*release, around, error) {
		return getText[release](l, "/releases", pageQuery(number))
	}) {
		if err != nil {
			if !l.fail("releases", "to read releases", err) {
				return
			}
			continue
		}
		if !l.text("release "+r.Tag, fmt.Sprintf("releases/%d", r.ID), "releases/tag/"+url.PathEscape(r.Tag), r.Created, r.Title+"\n\n"+r.Body, r.Files) {
			return
		}
	}
}

var uuid = lazyregexp.New(`^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)

// text sends what somebody wrote, and the files at it that were not read before. What people chose is not in its path, by which rules go.
func (l *textList) text(name, path, page string, at time.Time, text string, files []file) bool {
	where := audit.Location{Target: l.target.Name, Kind: audit.InText, Path: path, Name: name, URL: l.target.URL + "/" + page, At: at}
	if !l.send(audit.Item{Kind: audit.KindText, Content: []byte(text), Size: int64(len(text)), At: where}, nil) {
		return false
	}
	for _, f := range files {
		if f.ID <= l.past.file || !uuid().MatchString(f.UUID) {
			continue
		}
		l.now.file = max(l.now.file, f.ID)
		where.Kind, where.Path, where.At = audit.InArtifact, fmt.Sprintf("attachments/%d/%s", f.ID, f.Name), f.Created
		if !l.send(audit.Item{Kind: audit.KindArtifact, Size: max(f.Size, 0), Open: l.opener(l.webPage("attachments", f.UUID)), At: where}, nil) {
			return false
		}
	}
	return true
}

type wikiPage struct {
	Title  string `json:"title"`
	Sub    string `json:"sub_url"` // by which the API knows it, escaped
	Commit struct {
		SHA       string `json:"sha"`
		Committer struct {
			Date time.Time `json:"date"`
		} `json:"commiter"` // as Gitea writes it
	} `json:"last_commit"`
	Content []byte `json:"content_base64"`
}

// wiki sends the pages as they are now, if one of them has changed.
func (l *textList) wiki() {
	pages, digest, err := l.wikiPages()
	switch {
	case forge.StatusOf(err) == http.StatusNotFound && l.target.Attrs["admin"] == "true": // who may read all is told that there is none
		l.now.wiki = "none"
		return
	case err != nil:
		l.fail("wiki", "to read the wiki", err)
		return
	case digest == l.past.wiki:
		return
	}
	for _, p := range pages {
		what := fmt.Sprintf("wiki page %s", p.Title)
		var whole wikiPage
		_, err := l.get(l.ctx, l.path+"/wiki/page/"+p.Sub, nil, &whole)
		if err != nil {
			if !l.fail(what, "to read the wiki", err) {
				return
			}
			continue
		}
		if !l.text(what, "wiki/"+p.Sub+".md", "wiki/"+p.Sub, p.Commit.Committer.Date, string(whole.Content), nil) {
			return
		}
	}
	l.now.wiki = digest
}

// subURL is the last part of a page's address, as it is: what is no letter, digit or one of the rest is escaped.
var subURL = lazyregexp.New(`^(?:[A-Za-z0-9_.~!$&'()*+,;=:@-]|%[0-9A-Fa-f]{2})+$`)

// mostWiki bounds the list of a wiki's pages, of which one answer has 50.
const mostWiki = 200

// wikiPages lists them without their texts. The digest is of what each was last changed by.
func (l *textList) wikiPages() (pages []*wikiPage, digest string, err error) {
	sum := sha256.New()
	for number := 1; number > 0; {
		found, at, err := getText[wikiPage](l, "/wiki/pages", pageQuery(number))
		if err != nil {
			return nil, "", err
		}
		for _, p := range found {
			if subURL().MatchString(p.Sub) && strings.Trim(p.Sub, ".") != "" {
				pages = append(pages, p)
				fmt.Fprintf(sum, "%s %s\n", p.Sub, p.Commit.SHA)
			}
		}
		switch {
		case at.next <= number:
			number = 0 // it was the last
		case at.next > mostWiki:
			return nil, "", fmt.Errorf("the listing does not end: stopped before page %d", at.next)
		default:
			number = at.next
		}
	}
	return pages, hex.EncodeToString(sum.Sum(nil)[:16]), nil
}
