package gitea

import (
	"context"
	"errors"
	"net/url"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/providers/internal/forge"
)

// Server is where repositories lie that are no targets.
func (p *Provider) Server() (s forge.Server, err error) {
	c, err := p.connect()
	if err != nil {
		return s, err
	}
	return forge.Server{Origin: c.web, Username: gitUser, Credentials: func(context.Context, string) []*forge.Credential { return c.tokens }}, nil
}

const actionsVar = "GITEA_ACTIONS_URL"

// Actions is where the actions lie that workflows name without an address. Which server that is, its administrator chooses (DEFAULT_ACTIONS_URL: "github", "self", or of
// Forgejo an address), and no API tells it: the environment does.
func (p *Provider) Actions() (s forge.Server, err error) {
	address := p.env.Getenv(actionsVar)
	switch address {
	case "":
		return s, audit.Hint(errors.New("which server has it is the choice of who runs this one, which "+actionsVar+" does not say"), "set it to github, self or an address")
	case "self":
		return p.Server()
	case "github":
		address = "https://github.com"
	}
	origin, err := forge.BaseURL(actionsVar, address)
	if err != nil {
		return s, err
	}
	own, err := p.Server()
	if err == nil && forge.SameOrigin(own.Origin, origin) {
		return own, nil
	}
	return forge.Server{Origin: &url.URL{Scheme: origin.Scheme, Host: origin.Host, Path: origin.Path}}, nil
}
