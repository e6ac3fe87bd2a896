package gitlab

import (
	"context"
	"net/http"
	"net/url"
	"strings"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/providers/internal/forge"
)

// Holder asks who has a name, with a request: that of a user or a topmost group, or of a project by its path, whose subjects an issuer of tokens signs. ask is called before
// it. See https://docs.gitlab.com/api/namespaces/#verify-namespace-availability, which takes a token and tells of private groups, too; and
// https://docs.gitlab.com/api/projects/#retrieve-a-project, which answers with another path where a project was moved.
func (p *Provider) Holder(ctx context.Context, issuer, name string, ask func() error) (h audit.Holder, err error) {
	c, err := p.connect()
	if err != nil {
		return h, err
	}
	web := c.web[len(c.web)-1]
	project := strings.Contains(name, "/")
	_, fit := forge.Path(name)
	switch {
	case !fit:
		return audit.Holder{Unsure: "whether it is a name of GitLab's"}, nil
	case !strings.EqualFold(strings.TrimSuffix(issuer, "/"), strings.TrimSuffix(web.Host+web.Path, "/")):
		return audit.Holder{Unsure: "who has it, which is another server's to tell than " + web.Host}, nil
	case !project && (!c.signed() || c.job):
		return audit.Holder{Unsure: "who has it: GitLab tells that to whoever has a token of their own"}, nil
	}
	if err := ask(); err != nil {
		return h, err
	}
	ctx = forge.InOrder(ctx, "")
	if !project {
		var out struct{ Exists *bool }
		_, err = c.get(ctx, "namespaces/"+url.PathEscape(name)+"/exists", nil, "", &out)
		switch {
		case err != nil:
		case out.Exists == nil:
			h.Unsure = "what the answer means"
		case *out.Exists:
			h.Name = name
		}
		return h, err
	}
	var out struct {
		Path string `json:"path_with_namespace"`
	}
	_, err = c.get(ctx, "projects/"+url.PathEscape(name), nil, "", &out)
	if forge.StatusOf(err) == http.StatusNotFound {
		return audit.Holder{Unsure: "whether it is there: the credential may not see it"}, nil
	}
	if h.Name = out.Path; err == nil && h.Name == "" {
		h.Unsure = "what the answer means"
	}
	return h, err
}
