package github

import (
	"context"

	"github.com/leakreach/leakreach/providers/internal/forge"
)

// Server is where actions and reusable workflows lie that are no targets.
func (p *Provider) Server() (s forge.Server, err error) {
	c, err := p.connect()
	if err != nil {
		return s, err
	}
	return forge.Server{Origin: c.web[0], Username: "x-access-token", Credentials: func(ctx context.Context, owner string) []*forge.Credential {
		if c.app == nil {
			return c.tokens
		}
		credential, err := c.app.of(ctx, owner)
		if err != nil { // it is not installed there: what is public can be read without it
			return nil
		}
		return []*forge.Credential{credential}
	}}, nil
}
