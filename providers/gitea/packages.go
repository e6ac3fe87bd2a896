package gitea

import (
	"cmp"
	"context"
	"fmt"
	"iter"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/leakreach/leakreach/audit"
)

// A packageVersion is one version of a package. Gitea lists all those of an owner, the newest first.
type packageVersion struct {
	ID         int64  `json:"id"`
	Name       string `json:"name"`
	Type       string `json:"type"`
	Version    string `json:"version"`
	Repository *struct {
		Name string `json:"full_name"`
	} `json:"repository"` // that it is linked to
	Created time.Time `json:"created_at"`
}

// mostPackages bounds what is kept of an owner's packages until their versions are counted.
const mostPackages = 10_000

// mostImageTags bounds the tags of an image that are kept: a fact has no more.
const mostImageTags = 500

// packages lists what the owner's registries have, by name: files are not read.
func (h *place) packages(ctx context.Context) iter.Seq2[audit.Item, error] {
	type key struct{ name, kind string }
	type versions struct {
		count       int
		first, last time.Time
		repository  string
		tags        []string // of an image: its versions
	}
	return func(yield func(audit.Item, error) bool) {
		owner := h.target.Attrs["owner"]
		all, left := map[key]*versions{}, 0
		for x, err := range paged(ctx, func(x *packageVersion) string { return strconv.FormatInt(x.ID, 10) }, func(number, _ int) ([]*packageVersion, around, error) {
			return getPage[packageVersion](ctx, h.client, "packages/"+url.PathEscape(owner), number)
		}) {
			if err != nil {
				if !yield(audit.Item{}, err) {
					return
				}
				continue
			}
			k := key{x.Name, x.Type}
			v := all[k]
			if v == nil && len(all) == mostPackages {
				left++
				continue
			}
			if v == nil {
				v = &versions{first: x.Created, last: x.Created}
				all[k] = v
			}
			v.count++
			if x.Created.Before(v.first) {
				v.first = x.Created
			}
			if x.Created.After(v.last) {
				v.last = x.Created
			}
			if x.Repository != nil {
				v.repository = x.Repository.Name
			}
			if x.Type == "container" && len(v.tags) < mostImageTags {
				v.tags = append(v.tags, x.Version)
			}
		}
		keys := make([]key, 0, len(all))
		for k := range all {
			keys = append(keys, k)
		}
		slices.SortFunc(keys, func(a, b key) int { return cmp.Or(cmp.Compare(a.name, b.name), cmp.Compare(a.kind, b.kind)) })
		for _, k := range keys {
			v := all[k]
			facts := map[string]string{
				"type": k.kind, "versions": strconv.Itoa(v.count), "created_at": stamp(v.first), "updated_at": stamp(v.last), "repository": v.repository, "tags": audit.NameList(v.tags),
			}
			if !yield(audit.Item{
				Kind: audit.KindPackage, Entry: h.entry(audit.KindPackage, k.name, facts),
				At: audit.Location{Target: h.target.Name, Kind: audit.InSetting, Name: k.name, URL: h.webPage(owner, "-/packages"), At: v.last},
			}, nil) {
				return
			}
		}
		if left > 0 {
			yield(audit.Item{}, &audit.Gap{Target: h.target.Name, What: fmt.Sprintf("%d versions of packages", left), Why: fmt.Sprintf("the owner has more than %d packages", mostPackages)})
		}
	}
}
