package forge

import (
	"context"
	"net/url"
)

// A Server is where repositories are fetched from that are no targets, and with what.
type Server struct {
	Origin   *url.URL // repositories lie below it
	Username string   // that git's servers want to have beside a token
	// Credentials are those that may see an owner's repositories, the likeliest first; of public ones none is needed.
	Credentials func(ctx context.Context, owner string) []*Credential
}
