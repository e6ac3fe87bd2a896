package graph

import (
	"strings"

	"github.com/leakreach/leakreach/iam"
)

// Cloud adds identities of a world, all that they can become in eight moves, and what those may. Their ids are their ARNs.
func (g *Graph) Cloud(w *iam.World, starts ...*iam.Identity) {
	c := cloud{g, w, map[*iam.Identity]bool{}, map[string]bool{}, nil}
	for _, i := range starts {
		c.come(i)
	}
	for range maxHops + 1 {
		now := c.next
		c.next = nil
		for _, i := range now {
			c.add(i)
		}
	}
}

// A cloud is a walk through a world.
type cloud struct {
	*Graph
	w     *iam.World
	seen  map[*iam.Identity]bool
	owned map[string]bool // accounts in which somebody may everything
	next  []*iam.Identity // whose moves come after those of now
}

// add adds what an identity may and where it can move to.
func (c *cloud) add(i *iam.Identity) {
	from := c.identity(i)
	for _, r := range c.w.Rights(i) {
		c.Edge(Edge{From: from, To: c.rights(r.Account, r.Level), Kind: May, Unsure: r.Supposes, Evidence: r.Evidence})
	}
	for _, m := range c.w.Moves(i) {
		e := Edge{From: from, Kind: EdgeKind(m.Edge), Way: m.Path, Unsure: m.Supposes, Evidence: m.Evidence}
		if m.Target == nil {
			e.At, e.To = m.To, c.rights(m.Admin.ID, iam.LevelAdmin)
		} else {
			e.To = c.come(m.Target)
		}
		e.Fix, e.Close = fixes(&e)
		c.Edge(e)
	}
}

// come is the node of an identity that somebody can move to.
func (c *cloud) come(i *iam.Identity) *Node {
	switch {
	case c.seen[i]:
	case i.Any != nil: // which is no step of its own
		c.seen[i] = true
		c.add(i)
	default:
		c.seen[i] = true
		c.next = append(c.next, i)
	}
	return c.identity(i)
}

// rights is the node of what may be done in an account, with the moves of those who may everything there.
func (c *cloud) rights(account string, level iam.Level) *Node {
	n := Node{ID: RightsID(account, level.String()), Kind: Rights, Name: level.String() + " in " + account, In: account, Level: level.String()}
	a := c.w.Account(account)
	if a != nil && a.Name != "" {
		n.Name = level.String() + " in " + a.Name + " (" + a.ID + ")"
		n.Facts = map[string]string{"account_name": a.Name}
	}
	to := c.Node(n)
	if a != nil && level == iam.LevelAdmin && !c.owned[account] {
		c.owned[account] = true
		for _, m := range c.w.Administration(a) {
			c.Edge(Edge{From: to, To: c.come(m.Target), Kind: EdgeKind(m.Edge), Evidence: m.Evidence})
		}
	}
	return to
}

func (g *Graph) identity(i *iam.Identity) *Node {
	if i.Any != nil {
		return g.Node(Node{ID: i.ARN, Kind: Any, Name: i.ARN, In: i.Account.ID})
	}
	kind := "user"
	if i.Role {
		kind = "role"
	}
	return g.Node(Node{ID: i.ARN, Kind: Identity, Name: short(i.ARN), In: i.Account.ID, Facts: map[string]string{"type": kind}})
}

// RightsID is the id of what may be done at a level in an account.
func RightsID(account, level string) string { return level + " in " + account }

// short is an ARN without what comes before the resource: role/deploy.
func short(arn string) string {
	if parts := strings.SplitN(arn, ":", 6); len(parts) == 6 && parts[5] != "" {
		return parts[5]
	}
	return arn
}

// fixes are what takes a move away, by the statements that prove it: the first of the identity's own, and that of the role's trust.
func fixes(e *Edge) (narrow, shut string) {
	for by := range strings.SplitSeq(e.Evidence, "; ") {
		switch {
		case strings.HasPrefix(by, e.To.ID+" trust, "):
			shut = "narrow " + by
		case narrow != "" || !strings.Contains(by, ", statement ") || strings.HasPrefix(by, "SCP"):
		case strings.HasPrefix(by, "arn:aws:iam::aws:"): // AWS' own, which nobody can narrow
			policy, _, _ := strings.Cut(by, ", statement")
			narrow = "detach " + policy + " from " + e.From.Name
		default:
			narrow = "narrow " + by
		}
	}
	return narrow, shut
}
