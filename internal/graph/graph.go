// Package graph joins forge and cloud: who can get at a secret, and what the secret opens.
//
//	outsider, component, person → job → secret → identity → identity … → rights in an account
//
// Whoever knows something adds nodes and edges to a [Graph]; [Graph.Paths] lists the ways between two places of it, and [Graph.Cut] the fewest
// changes that leave none. A graph holds what was proven and, as edges with a reason, what could not be told; what is in neither is not there.
package graph

import (
	"iter"
	"maps"
	"slices"
)

// Kind is what a node is.
type Kind string

// The kinds of nodes.
const (
	Outsider  Kind = "outsider"  // anybody, such as whoever opens a pull request from a fork
	Person    Kind = "person"    // somebody with rights of their own on the forge
	Component Kind = "component" // code of somebody else's that a job runs: an action, an image, an included definition
	Job       Kind = "job"       // of a pipeline
	Secret    Kind = "secret"    // a credential
	Identity  Kind = "identity"  // whom a credential acts as: an AWS user, role or session, an account of a forge
	Any       Kind = "any"       // whichever of some identities: an edge that comes and one that goes on are one step together
	Grant     Kind = "grant"     // what gives an identity its rights: a group, a policy
	Rights    Kind = "rights"    // what may be done in an account, at a level: where ways end
)

// A Node is one thing in the graph.
type Node struct {
	ID    string // no other has it: an ARN, a finding's id, what [NamedID] and [RightsID] make
	Kind  Kind
	Name  string            // what people call it
	In    string            // the account, twelve digits, or the target that it belongs to; "" for none
	Level string            // of rights: admin, write, read
	Facts map[string]string // what else is known, by the names of the inventory and of verdicts
	// Fix is what takes the node away, such as "rotate AKIA…"; "" where nobody can.
	Fix string

	out, in []*Edge
}

// EdgeKind is how somebody gets from one node to the next.
type EdgeKind string

// The kinds of edges. Those of the cloud are the moves of package iam.
const (
	Starts   EdgeKind = "starts"  // an outsider or a person → a job, with content of theirs
	RunsIn   EdgeKind = "runs-in" // a component → a job
	Holds    EdgeKind = "holds"   // a job → a secret that it is handed
	IsIn     EdgeKind = "is-in"   // a secret's name at a forge → the credential that was found there
	ActsAs   EdgeKind = "acts-as" // a secret → the identity that it is a credential of
	May      EdgeKind = "may"     // an identity → rights
	Assumes  EdgeKind = "assumes"
	Passes   EdgeKind = "passes"
	EditSelf EdgeKind = "edits-self"
	Edits    EdgeKind = "edits"
	RunsCode EdgeKind = "runs-code-as"
	Reads    EdgeKind = "reads-credential"
	Federate EdgeKind = "federates" // a job → the role that trusts its forge
	Shares   EdgeKind = "shares"
)

// An Edge is one step from a node to another.
type Edge struct {
	From, To *Node
	Kind     EdgeKind
	At       string // what the step is done to, where that is not To, such as the ARN of a role that gets another policy
	Way      string // its id in the catalogue of escalations; "" for none
	Evidence string // what proves it: statements, a line of a definition
	// Unsure says what is not known that decides whether the step can be taken; "" of one that can.
	Unsure string
	// Fix is what takes the edge away at From, and with it all of the same fix that leave there; Close likewise at To, of those that lead there.
	// "" where nothing does.
	Fix, Close string
}

// maxEdges bounds a graph: an organisation of 50,000 identities has some 200,000 moves.
const maxEdges = 1 << 20

// A Graph is nodes and edges in the order in which they were added. The zero value is empty and ready; it is not safe for concurrent use.
type Graph struct {
	nodes []*Node
	edges []*Edge
	byID  map[string]*Node
	known map[link]*Edge
	full  bool
}

// A link is what tells edges apart.
type link struct {
	from, to *Node
	kind     EdgeKind
	at, way  string
}

// Node adds a node, or tells more of the one that has its id: fields and facts that are not known yet.
func (g *Graph) Node(n Node) *Node {
	old := g.byID[n.ID]
	if old == nil {
		if g.byID == nil {
			g.byID, g.known = map[string]*Node{}, map[link]*Edge{}
		}
		n.out, n.in = nil, nil
		n.Facts = maps.Clone(n.Facts)
		g.byID[n.ID] = &n
		g.nodes = append(g.nodes, &n)
		return &n
	}
	for _, f := range []struct {
		to   *string
		from string
	}{{&old.Name, n.Name}, {&old.In, n.In}, {&old.Level, n.Level}, {&old.Fix, n.Fix}} {
		if *f.to == "" {
			*f.to = f.from
		}
	}
	for k, v := range n.Facts {
		if old.Facts == nil {
			old.Facts = map[string]string{}
		}
		if old.Facts[k] == "" {
			old.Facts[k] = v
		}
	}
	return old
}

// Edge adds an edge between two nodes of the graph. The same step is added once; that it is sure prevails.
func (g *Graph) Edge(e Edge) {
	l := link{e.From, e.To, e.Kind, e.At, e.Way}
	if old := g.known[l]; old != nil {
		if old.Unsure != "" && e.Unsure == "" {
			*old = e
		}
		return
	}
	if len(g.edges) == maxEdges {
		g.full = true
		return
	}
	g.known[l] = &e
	g.edges = append(g.edges, &e)
	e.From.out = append(e.From.out, &e)
	e.To.in = append(e.To.in, &e)
}

// Full tells whether there were more edges than a graph holds: then it is a part.
func (g *Graph) Full() bool { return g.full }

// Find is a node by its id, or nil.
func (g *Graph) Find(id string) *Node { return g.byID[id] }

// Nodes are all nodes.
func (g *Graph) Nodes() iter.Seq[*Node] { return slices.Values(g.nodes) }

// Edges are all edges.
func (g *Graph) Edges() iter.Seq[*Edge] { return slices.Values(g.edges) }

// Out are the edges that leave a node.
func (n *Node) Out() iter.Seq[*Edge] { return slices.Values(n.out) }

// Into are the edges that lead to a node.
func (n *Node) Into() iter.Seq[*Edge] { return slices.Values(n.in) }
