package github

import (
	"context"
	"net/http"
	"strings"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/providers/internal/forge"
)

// Holder asks who has a name, with a request: that of an owner, or of a repository as OWNER/NAME, whose subjects an issuer of tokens signs. ask is called before it. See
// docs.github.com/rest/users/users#get-a-user, which answers for organisations, too, and not for managed users, whose names alone have an underscore;
// docs.github.com/rest/repos/repos#get-a-repository answers with another name where it was renamed.
func (p *Provider) Holder(ctx context.Context, issuer, name string, ask func() error) (h audit.Holder, err error) {
	c, err := p.connect()
	if err != nil {
		return h, err
	}
	owner, repository, whole := strings.Cut(name, "/")
	if !ownerName().MatchString(owner) || whole && !validRepository(repository) {
		return audit.Holder{Unsure: "whether it is a name of GitHub's"}, nil
	}
	if !c.signs(issuer) {
		return audit.Holder{Unsure: "who has it, which is another server's to tell than " + c.web[0].Host}, nil
	}
	if err := ask(); err != nil {
		return h, err
	}
	path := "users/" + owner
	if whole {
		path = "repos/" + name
	}
	var out struct {
		Login    string
		FullName string `json:"full_name"`
	}
	_, err = c.get(c.as(ctx, owner), path, nil, &out)
	gone := forge.StatusOf(err) == http.StatusNotFound
	switch h.Name = out.Login; {
	case gone && whole:
		return audit.Holder{Unsure: "whether it is there: the credential may not see it"}, nil
	case gone && strings.Contains(owner, "_"):
		return audit.Holder{Unsure: "whether it is a managed user's, whom GitHub shows to colleagues alone"}, nil
	case gone:
		return audit.Holder{}, nil
	case whole:
		h.Name = out.FullName
	}
	if err == nil && h.Name == "" {
		h.Unsure = "what the answer means"
	}
	return h, err
}

// signs tells whether the instance is the one of which an issuer, an address without https://, signs the tokens of jobs. See
// https://docs.github.com/en/actions/reference/security/oidc.
func (c *client) signs(issuer string) bool {
	host, path, _ := strings.Cut(strings.ToLower(issuer), "/")
	switch web := strings.ToLower(c.web[len(c.web)-1].Host); {
	case web == "github.com":
		return host == "token.actions.githubusercontent.com"
	case strings.HasSuffix(web, ".ghe.com"):
		return host == "token.actions."+web
	default:
		return host == web && strings.HasPrefix(path, "_services/token")
	}
}
