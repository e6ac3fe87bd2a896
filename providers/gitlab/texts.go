package gitlab

import (
	"cmp"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/providers/internal/forge"
)

// texts reads what people wrote beside git. Of what has no time to ask by, all is read each time.
func (r *records) texts() {
	for _, s := range []struct {
		source  audit.Sources
		feature string // that may be switched off
		read    func() bool
	}{
		{audit.SourceIssues, "issues", func() bool { return r.threads("issues", "issue #", "Guest") }},
		{audit.SourceIssues, "merge_requests", func() bool { return r.threads("merge_requests", "merge request !", "Reporter") }},
		{audit.SourceWikis, "wiki", r.wiki},
		{audit.SourceReleases, "releases", r.releases},
		{audit.SourceGists, "snippets", r.snippets},
		{audit.SourcePackages, "container_registry", r.images},
		{audit.SourcePackages, "package_registry", r.packages},
	} {
		if r.sources.Has(s.source) && r.has(s.feature) && !s.read() {
			return
		}
	}
}

// text sends what lies at a page under a name.
func (r *records) text(name, page string, at *time.Time, text string) bool {
	if strings.TrimSpace(text) == "" {
		return !r.ended
	}
	it := audit.Item{Kind: audit.KindText, At: audit.Location{Target: r.target.Name, Kind: audit.InText, Name: name, URL: page}}
	if at != nil {
		it.At.At = *at
	}
	return r.lend(it, []byte(text))
}

// threads reads issues or merge requests, each with its notes. A new or changed note touches what it is of.
func (r *records) threads(kind, name, role string) bool {
	type thread struct {
		IID         int        `json:"iid"`
		Title       string     `json:"title"`
		Description string     `json:"description"`
		UpdatedAt   *time.Time `json:"updated_at"`
		Notes       int        `json:"user_notes_count"`
	}
	query := r.since(map[string]string{"scope": "all", "state": "all", "order_by": "created_at", "sort": "asc"})
	what := strings.ReplaceAll(kind, "_", " ")
	for x, err := range every(r, "/"+kind, query, func(x *thread) string { return strconv.Itoa(x.IID) }) {
		if err != nil {
			if !r.fail(what, "role "+role, err) {
				return false
			}
			continue
		}
		title, page := name+strconv.Itoa(x.IID), r.client.page(r.target.Attrs["path"], "-", kind, strconv.Itoa(x.IID))
		if !r.text(title, page, x.UpdatedAt, x.Title+"\n\n"+x.Description) || x.Notes > 0 && !r.notes(kind, x.IID, title, page, "role "+role) {
			return false
		}
	}
	return !r.ended
}

// notes reads what was said of an issue or a merge request, also what GitLab itself notes: a title as it was before.
func (r *records) notes(kind string, iid int, title, page, role string) bool {
	type note struct {
		ID        int        `json:"id"`
		Body      string     `json:"body"`
		UpdatedAt *time.Time `json:"updated_at"`
	}
	path := fmt.Sprintf("/%s/%d/notes", kind, iid)
	for x, err := range every(r, path, map[string]string{"order_by": "created_at", "sort": "asc"}, func(x *note) string { return strconv.Itoa(x.ID) }) {
		if err != nil {
			if !r.fail("notes of "+strings.ReplaceAll(kind, "_", " "), role, err) {
				return false
			}
			continue
		}
		if x.UpdatedAt != nil && x.UpdatedAt.Before(r.start()) {
			continue // known, or too old
		}
		if !r.text(title+", note", page+"#note_"+strconv.Itoa(x.ID), x.UpdatedAt, x.Body) {
			return false
		}
	}
	return !r.ended
}

// wiki reads the pages as they are now.
func (r *records) wiki() bool {
	type wikiPage struct {
		Slug    string `json:"slug"`
		Title   string `json:"title"`
		Content string `json:"content"`
	}
	for x, err := range every(r, "/wikis", map[string]string{"with_content": "1"}, func(x *wikiPage) string { return x.Slug }) {
		if err != nil {
			if !r.fail("wiki", "role Guest", err) {
				return false
			}
			continue
		}
		if !r.text("wiki page "+x.Slug, r.client.page(r.target.Attrs["path"], "-/wikis", x.Slug), nil, x.Title+"\n\n"+x.Content) {
			return false
		}
	}
	return !r.ended
}

// releases reads what is said of them; their files are links to elsewhere.
func (r *records) releases() bool {
	type release struct {
		Tag         string     `json:"tag_name"`
		Name        string     `json:"name"`
		Description string     `json:"description"`
		ReleasedAt  *time.Time `json:"released_at"`
		Assets      struct {
			Links []struct {
				Name string `json:"name"`
				URL  string `json:"url"`
			} `json:"links"`
		} `json:"assets"`
	}
	for x, err := range every(r, "/releases", nil, func(x *release) string { return x.Tag }) {
		if err != nil {
			if !r.fail("releases", reporter, err) {
				return false
			}
			continue
		}
		lines := []string{x.Name, "", x.Description}
		for _, l := range x.Assets.Links {
			lines = append(lines, l.Name+" "+l.URL)
		}
		if !r.text("release "+x.Tag, r.client.page(r.target.Attrs["path"], "-/releases", x.Tag), x.ReleasedAt, strings.Join(lines, "\n")) {
			return false
		}
	}
	return !r.ended
}

// snippets reads their files as they are now.
func (r *records) snippets() bool {
	type snippet struct {
		ID          int        `json:"id"`
		Title       string     `json:"title"`
		Description string     `json:"description"`
		FileName    string     `json:"file_name"`
		UpdatedAt   *time.Time `json:"updated_at"`
		Files       []struct {
			Path   string `json:"path"`
			RawURL string `json:"raw_url"`
		} `json:"files"`
	}
	for x, err := range every(r, "/snippets", nil, func(x *snippet) string { return strconv.Itoa(x.ID) }) {
		if err != nil {
			if !r.fail("snippets", reporter, err) {
				return false
			}
			continue
		}
		if x.UpdatedAt != nil && x.UpdatedAt.Before(r.start()) {
			continue // known, or too old
		}
		name, page := "snippet $"+strconv.Itoa(x.ID), r.client.page(r.target.Attrs["path"], "-/snippets", strconv.Itoa(x.ID))
		if !r.text(name, page, x.UpdatedAt, x.Title+"\n\n"+x.Description) {
			return false
		}
		base := fmt.Sprintf("%s/snippets/%d", r.path, x.ID)
		paths := map[string]string{cmp.Or(x.FileName, "snippet"): base + "/raw"}
		if len(x.Files) > 1 {
			clear(paths)
			for _, f := range x.Files {
				paths[f.Path] = base + "/files/" + url.PathEscape(refOf(f.RawURL, f.Path)) + "/" + url.PathEscape(f.Path) + "/raw"
			}
		}
		for _, file := range sortedKeys(paths) {
			if !r.file(name, page, file, paths[file], x.UpdatedAt) {
				return false
			}
		}
	}
	return !r.ended
}

// file sends one of a snippet's.
func (r *records) file(name, page, file, path string, at *time.Time) bool {
	body, err := r.download(path, mostText)
	if err != nil {
		return r.fail("files of snippets", reporter, err)
	}
	defer func() { _ = body.Close() }()
	content, err := r.read(body, mostText)
	if err != nil {
		return r.fail("files of snippets", reporter, err)
	}
	it := audit.Item{Kind: audit.KindText, At: audit.Location{Target: r.target.Name, Kind: audit.InText, Path: file, Name: name, URL: page}}
	if at != nil {
		it.At.At = *at
	}
	return r.lend(it, content)
}

// refOf is the branch in the address of a snippet's file, which ends in /raw/BRANCH/PATH.
func refOf(rawURL, path string) string {
	u, err := url.Parse(rawURL)
	if err != nil {
		return "HEAD"
	}
	_, rest, _ := strings.Cut(u.Path, "/raw/")
	ref, found := strings.CutSuffix(rest, "/"+path)
	if !found || ref == "" {
		return "HEAD"
	}
	return ref
}

// images lists what the container registry has, by name: layers are not read.
func (r *records) images() bool {
	type tag struct {
		Name string `json:"name"`
	}
	type image struct {
		ID        int        `json:"id"`
		Path      string     `json:"path"`
		CreatedAt *time.Time `json:"created_at"`
	}
	for x, err := range every(r, "/registry/repositories", nil, func(x *image) string { return strconv.Itoa(x.ID) }) {
		if forge.StatusOf(err) == http.StatusNotFound { // the instance has no registry
			return !r.ended
		}
		if err != nil {
			if !r.missed("container registry", reporter, err) {
				return false
			}
			continue
		}
		var tags []string
		for t, err := range every(r, fmt.Sprintf("/registry/repositories/%d/tags", x.ID), nil, func(t *tag) string { return t.Name }) {
			if err != nil {
				if !r.missed("tags in the container registry", reporter, err) {
					return false
				}
				continue
			}
			tags = append(tags, t.Name)
		}
		it := r.item(audit.KindPackage, audit.InSetting, cmp.Or(x.Path, "image "+strconv.Itoa(x.ID)), r.client.page(r.target.Attrs["path"], "container_registry", strconv.Itoa(x.ID)), map[string]string{
			"type": "container", "tags": audit.NameList(tags), "created_at": stamp(x.CreatedAt),
		})
		if !r.send(it, nil) {
			return false
		}
	}
	return !r.ended
}

// packages lists what the package registry has, by name: files are not read.
func (r *records) packages() bool {
	type registered struct {
		ID        int        `json:"id"`
		Name      string     `json:"name"`
		Type      string     `json:"package_type"`
		CreatedAt *time.Time `json:"created_at"`
	}
	type versions struct {
		count       int
		first, last time.Time
	}
	name, types := "", map[string]versions{} // of the name that the listing is at
	flush := func() bool {
		for _, kind := range sortedKeys(types) {
			v := types[kind]
			it := r.item(audit.KindPackage, audit.InSetting, name, r.client.page(r.target.Attrs["path"], "-/packages"), map[string]string{
				"type": kind, "versions": strconv.Itoa(v.count), "created_at": stamp(&v.first), "updated_at": stamp(&v.last),
			})
			if !r.send(it, nil) {
				return false
			}
		}
		clear(types)
		return true
	}
	for x, err := range every(r, "/packages", map[string]string{"order_by": "name", "sort": "asc"}, func(x *registered) string { return strconv.Itoa(x.ID) }) {
		if forge.StatusOf(err) == http.StatusNotFound { // the instance has none
			return !r.ended
		}
		if err != nil {
			if !r.missed("package registry", reporter, err) {
				return false
			}
			continue
		}
		if x.Name != name && !flush() {
			return false
		}
		name = x.Name
		v := types[x.Type]
		v.count++
		if at := x.CreatedAt; at != nil {
			if v.first.IsZero() || at.Before(v.first) {
				v.first = *at
			}
			if at.After(v.last) {
				v.last = *at
			}
		}
		types[x.Type] = v
	}
	return flush() && !r.ended
}
