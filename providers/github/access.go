package github

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"iter"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/providers/internal/forge"
)

// deployKey is what is read of one; its fingerprint is that of key.
type deployKey struct {
	ID        int64      `json:"id"`
	Key       string     `json:"key"` // the public half
	Title     string     `json:"title"`
	ReadOnly  *bool      `json:"read_only"`
	Enabled   *bool      `json:"enabled,omitempty"`
	CreatedAt *time.Time `json:"created_at"`
	AddedBy   string     `json:"added_by,omitempty"`
	LastUsed  moment     `json:"last_used,omitempty"`
}

func (h *place) deployKeys(ctx context.Context) iter.Seq2[audit.Item, error] {
	all := listed(ctx, h, h.path()+"/keys", "", otherPage, func(k *deployKey) string { return strconv.FormatInt(k.ID, 10) + k.Title })
	return each(all, func(k *deployKey) audit.Item {
		return h.setting(audit.KindDeployKey, k.Title, h.scope(), "settings/keys", deref(k.CreatedAt), k, map[string]string{
			"id": strconv.FormatInt(k.ID, 10), "read_only": flag(k.ReadOnly), "created_at": stamp(k.CreatedAt), "last_used": k.LastUsed.fact(), "added_by": k.AddedBy,
			"fingerprint": fingerprint(k.Key), "expires_at": "never",
		})
	})
}

// moment is a time that may be null, which says that it never was.
type moment json.RawMessage

// UnmarshalJSON keeps what is there, null too.
func (m *moment) UnmarshalJSON(text []byte) error {
	*m = moment(bytes.Clone(text))
	return nil
}

// MarshalJSON gives it back.
func (m moment) MarshalJSON() ([]byte, error) { return m, nil }

// fact is the moment as facts have it; "" if the answer does not tell.
func (m moment) fact() string {
	if string(m) == "null" {
		return "never"
	}
	var at time.Time
	if json.Unmarshal(m, &at) != nil {
		return ""
	}
	return stamp(&at)
}

// fingerprint is what ssh-keygen prints of a public key; "" of what is none.
func fingerprint(key string) string {
	fields := strings.Fields(key)
	if len(fields) < 2 {
		return ""
	}
	blob, err := base64.StdEncoding.DecodeString(fields[1])
	if err != nil {
		return ""
	}
	sum := sha256.Sum256(blob)
	return "SHA256:" + base64.RawStdEncoding.EncodeToString(sum[:])
}

// hook is what is read of one. Its address is read for the host alone: such addresses are often all that a service asks for.
type hook struct {
	ID     int64    `json:"id"`
	Name   string   `json:"name"`
	Events []string `json:"events"`
	Active *bool    `json:"active"`
	Config struct {
		URL         concealed       `json:"url"`
		Secret      concealed       `json:"secret"`       // asterisks, where there is one
		InsecureSSL json.RawMessage `json:"insecure_ssl"` // a text or a number
		ContentType string          `json:"content_type"`
	} `json:"config"`
	CreatedAt *time.Time `json:"created_at"`
	UpdatedAt *time.Time `json:"updated_at"`
}

// concealed is a text that is read and goes no further.
type concealed string

func (concealed) MarshalJSON() ([]byte, error) { return []byte("null"), nil }

func (h *place) hooks(ctx context.Context) iter.Seq2[audit.Item, error] {
	all := listed(ctx, h, h.path()+"/hooks", "", otherPage, func(k *hook) string { return strconv.FormatInt(k.ID, 10) })
	return each(all, func(k *hook) audit.Item {
		facts := map[string]string{
			"id": strconv.FormatInt(k.ID, 10), "events": list(k.Events), "active": flag(k.Active), "has_secret": strconv.FormatBool(k.Config.Secret != ""),
			"created_at": stamp(k.CreatedAt), "updated_at": stamp(k.UpdatedAt),
		}
		switch strings.Trim(string(k.Config.InsecureSSL), `"`) {
		case "0":
			facts["tls_verified"] = "true"
		case "1":
			facts["tls_verified"] = "false"
		}
		host := ""
		if u, err := url.Parse(string(k.Config.URL)); err == nil && (u.Scheme == "http" || u.Scheme == "https") {
			host, facts["url_scheme"] = u.Hostname(), u.Scheme
		}
		return h.setting(audit.KindHook, host, h.scope(), "settings/hooks", deref(k.UpdatedAt), k, facts)
	})
}

// installed is what is read of an installed app.
type installed struct {
	ID                  int64             `json:"id"`
	AppID               int64             `json:"app_id"`
	Slug                string            `json:"app_slug"`
	RepositorySelection string            `json:"repository_selection"`
	Permissions         map[string]string `json:"permissions"`
	Events              []string          `json:"events"`
	SuspendedAt         *time.Time        `json:"suspended_at"`
	CreatedAt           *time.Time        `json:"created_at"`
	UpdatedAt           *time.Time        `json:"updated_at"`
}

func (h *place) apps(ctx context.Context) iter.Seq2[audit.Item, error] {
	all := listed(ctx, h, h.path()+"/installations", "installations", otherPage, func(a *installed) string { return strconv.FormatInt(a.ID, 10) })
	return each(all, func(a *installed) audit.Item {
		return h.setting(audit.KindApp, a.Slug, h.scope(), "settings/installations", deref(a.UpdatedAt), a, map[string]string{
			"id": strconv.FormatInt(a.ID, 10), "repositories": a.RepositorySelection, "permissions": list(rightsOf(a.Permissions)), "events": list(a.Events),
			"created_at": stamp(a.CreatedAt), "updated_at": stamp(a.UpdatedAt), "suspended_at": stamp(a.SuspendedAt),
		})
	})
}

// rightsOf are permissions as facts have them.
func rightsOf(permissions map[string]string) (all []string) {
	for _, name := range slices.Sorted(maps.Keys(permissions)) {
		all = append(all, name+"="+permissions[name])
	}
	return all
}

// grant is what is read of the access that a fine-grained token has to an organisation.
type grant struct {
	ID    int64 `json:"id"`
	Owner struct {
		Login string `json:"login"`
	} `json:"owner"`
	RepositorySelection string `json:"repository_selection"` // none, all, subset
	Permissions         struct {
		Organization map[string]string `json:"organization,omitempty"`
		Repository   map[string]string `json:"repository,omitempty"`
		Other        map[string]string `json:"other,omitempty"`
	} `json:"permissions"`
	AccessGrantedAt *time.Time `json:"access_granted_at"`
	TokenID         int64      `json:"token_id,omitempty"`
	TokenName       string     `json:"token_name,omitempty"`
	TokenExpired    *bool      `json:"token_expired"`
	TokenExpiresAt  moment     `json:"token_expires_at,omitempty"`
	TokenLastUsedAt moment     `json:"token_last_used_at,omitempty"`

	Repositories []string `json:"repositories,omitempty"` // a listing of its own
}

// fineGrained names what GitHub tells to Apps alone: nobody else asks.
const fineGrained = "fine-grained tokens"

// grants yields the fine-grained tokens that may enter the organisation.
func (h *place) grants(ctx context.Context) iter.Seq2[audit.Item, error] {
	path := h.path() + "/personal-access-tokens"
	all := listed(ctx, h, path, "", otherPage, func(g *grant) string { return strconv.FormatInt(g.ID, 10) })
	return through(all, func(g *grant, yield func(audit.Item, error) bool) bool {
		name := g.TokenName
		if name == "" {
			name = "grant " + strconv.FormatInt(g.ID, 10)
		}
		repositories := g.RepositorySelection
		if repositories == "subset" {
			var err error
			g.Repositories, err = h.repositories(ctx, path+"/"+strconv.FormatInt(g.ID, 10)+"/repositories", "")
			if err != nil && !yield(audit.Item{}, h.gap("repositories of token "+name, grantsNeed, err)) {
				return false
			}
			repositories = list(g.Repositories)
		}
		facts := map[string]string{
			"type": "fine-grained", "owner": g.Owner.Login, "created_at": stamp(g.AccessGrantedAt), "expires_at": g.TokenExpiresAt.fact(),
			"last_used_at": g.TokenLastUsedAt.fact(), "repositories": repositories,
			"scopes": list(slices.Concat(rightsOf(g.Permissions.Organization), rightsOf(g.Permissions.Repository), rightsOf(g.Permissions.Other))),
		}
		if g.TokenExpired != nil {
			facts["active"] = strconv.FormatBool(!*g.TokenExpired)
		}
		return yield(h.setting(audit.KindToken, name, h.scope(), "settings/personal-access-tokens/"+strconv.FormatInt(g.ID, 10), deref(g.AccessGrantedAt), g, facts), nil)
	})
}

// isApp tells whether requests are an App's.
func (c *client) isApp(ctx context.Context) bool {
	for _, t := range c.tokens {
		if token, err := t.Token(ctx); err == nil && strings.HasPrefix(token, "ghs_") {
			return true
		}
	}
	return c.app != nil
}

const grantsNeed = "organization_personal_access_tokens=read of a GitHub App"

// A registryPackage is what "List packages for an organization" tells of one.
type registryPackage struct {
	ID         int64      `json:"id"`
	Name       string     `json:"name"`
	Type       string     `json:"package_type"`
	Visibility string     `json:"visibility"`
	Versions   int64      `json:"version_count"`
	CreatedAt  *time.Time `json:"created_at"`
	UpdatedAt  *time.Time `json:"updated_at"`
	Repository *struct {
		FullName string `json:"full_name"`
	} `json:"repository"`
}

// packageTypes are the registries, each of which is asked for by itself.
var packageTypes = []string{"container", "docker", "maven", "npm", "nuget", "rubygems"}

// packages are those of the organisation, by name. A registry that is switched off, as some are on a server of one's own, has none.
func (h *place) packages(ctx context.Context) iter.Seq2[audit.Item, error] {
	return func(yield func(audit.Item, error) bool) {
		for _, kind := range packageTypes {
			for x, err := range listed(ctx, h, h.path()+"/packages?package_type="+kind, "", otherPage, func(x *registryPackage) string { return strconv.FormatInt(x.ID, 10) }) {
				if forge.StatusOf(err) == http.StatusBadRequest {
					break
				}
				if err != nil {
					yield(audit.Item{}, err)
					return
				}
				repository := ""
				if x.Repository != nil {
					repository = x.Repository.FullName
				}
				if !yield(h.setting(audit.KindPackage, x.Name, h.scope(), "packages", deref(x.CreatedAt), x, map[string]string{
					"type": x.Type, "visibility": x.Visibility, "versions": strconv.FormatInt(x.Versions, 10), "repository": repository,
					"created_at": stamp(x.CreatedAt), "updated_at": stamp(x.UpdatedAt),
				}), nil) {
					return
				}
			}
		}
	}
}

// actionsCache is what is read of a cache.
type actionsCache struct {
	ID             int64      `json:"id"`
	Key            string     `json:"key"`
	Ref            string     `json:"ref"`
	SizeInBytes    int64      `json:"size_in_bytes"`
	CreatedAt      *time.Time `json:"created_at"`
	LastAccessedAt *time.Time `json:"last_accessed_at"`
}

func (h *place) caches(ctx context.Context) iter.Seq2[audit.Item, error] {
	all := listed(ctx, h, h.path()+"/actions/caches", "actions_caches", otherPage, func(c *actionsCache) string { return strconv.FormatInt(c.ID, 10) })
	return each(all, func(c *actionsCache) audit.Item {
		return h.setting(audit.KindCache, c.Key, h.scope(), "actions/caches", deref(c.CreatedAt), c, map[string]string{
			"ref": c.Ref, "size": strconv.FormatInt(c.SizeInBytes, 10), "created_at": stamp(c.CreatedAt), "last_used": stamp(c.LastAccessedAt),
		})
	})
}
