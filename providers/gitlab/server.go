package gitlab

import (
	"context"

	"github.com/leakreach/leakreach/providers/internal/forge"
)

// Server is where files and components lie that are included and no targets.
func (p *Provider) Server() (s forge.Server, err error) {
	c, err := p.connect()
	if err != nil {
		return s, err
	}
	return forge.Server{Origin: c.web[0], Username: c.gitUser(), Credentials: func(context.Context, string) []*forge.Credential { return c.tokens }}, nil
}
