package gitea

import (
	"context"
	"net/http"
	"net/url"
	"strings"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/providers/internal/forge"
)

// Holder asks who has a name, with a request: that of an owner, or of a repository as OWNER/NAME, whose subjects an issuer of tokens signs. ask is called before it. A server
// answers for another name where it was renamed, and as if it was not there for what the credential does not see: users and organisations can be hidden. See
// https://docs.gitea.com/api/1.24/, userGet and repoGet.
func (p *Provider) Holder(ctx context.Context, issuer, name string, ask func() error) (h audit.Holder, err error) {
	c, err := p.connect()
	if err != nil {
		return h, err
	}
	if !strings.EqualFold(strings.TrimSuffix(issuer, "/"), strings.TrimSuffix(c.web.Host+c.web.Path, "/")+"/api/actions") {
		return audit.Holder{Unsure: "who has it, which is another server's to tell than " + c.web.Host}, nil
	}
	owner, repository, whole := strings.Cut(name, "/")
	if !ownerName().MatchString(owner) || whole && !validRepository(repository) {
		return audit.Holder{Unsure: "whether it is a name of Gitea's"}, nil
	}
	if err := ask(); err != nil {
		return h, err
	}
	path := "users/" + url.PathEscape(owner)
	if whole {
		path = "repos/" + url.PathEscape(owner) + "/" + url.PathEscape(repository)
	}
	var out struct {
		Login    string
		FullName string `json:"full_name"`
	}
	_, err = c.get(ctx, path, nil, &out)
	if forge.StatusOf(err) == http.StatusNotFound {
		return audit.Holder{Unsure: "whether it is there: the credential may not see it"}, nil
	}
	if h.Name = out.Login; whole {
		h.Name = out.FullName // a user's is what they call themselves
	}
	if err == nil && h.Name == "" {
		h.Unsure = "what the answer means"
	}
	return h, err
}
