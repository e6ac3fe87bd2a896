package pipeline

import (
	"fmt"
	"iter"
	"slices"
	"strings"

	"github.com/leakreach/leakreach/audit"
)

// LockPath is where GitHub looks for a repository's lock file.
const LockPath = ".github/workflows/actions.lock"

// A Lock is a lock file of GitHub Actions: the commits of actions that workflows name by tags and branches, and of those that these pull in. GitHub runs a workflow that it
// lists by these commits, without further settings, and refuses to run it if one is missing. A workflow that it does not list runs as if there were no lock file.
//
// It does not hold calls of reusable workflows, whose own steps go by the lock file beside them, nor images, nor what "./" names
// (docs.github.com/actions/concepts/security/workflow-dependency-lockfiles; the form is that of github.com/github/actions-lockfile, v0.0.1 and v0.0.2).
type Lock struct {
	Gaps []audit.Gap // what could not be understood. Their Target is the caller's to set

	workflows map[string][]string      // pins of each, by its path, sorted
	actions   map[string]*lockedAction // by pin
}

type lockedAction struct {
	commit string   // a full hash; "" if the file has none that GitHub takes
	why    string   // it has none
	pulls  []string // pins of what it pulls in itself
}

// ParseLock reads a lock file that lies at path. The answer is never nil: what GitHub would refuse holds nothing, and is a gap.
func ParseLock(path string, content []byte) (l *Lock) {
	r := &reader{def: &Definition{Dialect: GitHub, Path: path}}
	defer func() {
		if p := recover(); p != nil { // as in Parse
			l = &Lock{}
			r.gap("", "the parser broke off")
		}
		l.Gaps = r.def.Gaps
	}()
	l = &Lock{workflows: map[string][]string{}, actions: map[string]*lockedAction{}}
	if len(content) > maxSize { // which is GitHub's own bound, too
		r.gap("", fmt.Sprintf("larger than %d bytes", maxSize))
		return l
	}
	n, _, why := tree(GitHub, content)
	if why != "" {
		r.gap("", why)
		return l
	}
	root := Node{n: n}
	for _, key := range []string{"workflows", "dependencies"} {
		if n := root.Get(key); n.Is() && !n.IsMap() {
			r.gap(key, "not a mapping")
		}
	}
	for key, list := range root.Get("workflows").Pairs() {
		l.workflows[key.Text()] = r.pins(list)
	}
	for key, n := range root.Get("dependencies").Pairs() {
		pin, ok := pinIn(key.Text())
		if !ok {
			r.gap(line(key), notPin)
			continue
		}
		a := &lockedAction{pulls: r.pins(n.Get("uses"))}
		if a.commit, a.why = commitIn(n.Get("commit").Text()), "it has no full commit"; a.commit != "" {
			a.why = disagrees(pin, a.commit, n.Get("ref").Text())
		}
		if other := l.actions[pin]; other != nil && other.commit != a.commit {
			a.why = "it is there twice, with different commits"
		}
		if a.why != "" {
			a.commit = ""
			r.gap(fmt.Sprintf("dependency %q", pin), a.why)
		}
		l.actions[pin] = a
	}
	return l
}

// pins reads a list of them, and sorts it.
func (r *reader) pins(list Node) (pins []string) {
	if list.Is() && !list.IsList() {
		r.gap(line(list), "not a list")
	}
	for n := range list.Items() {
		if pin, ok := pinIn(n.Text()); ok {
			pins = append(pins, pin)
		} else {
			r.gap(line(n), notPin)
		}
	}
	slices.Sort(pins)
	return slices.Compact(pins)
}

const notPin = "not OWNER/REPOSITORY@REF"

// line is where something is that may be anything, and so is not told itself.
func line(n Node) string { return fmt.Sprint("line ", n.At().Line) }

// pinIn reads "OWNER/REPOSITORY@REF", of which refs alone tell cases apart. Refs have no colon; what v0.0.1 has behind one is the commit.
func pinIn(text string) (pin string, ok bool) {
	name, ref, _ := strings.Cut(text, "@")
	ref, _, _ = strings.Cut(ref, ":")
	owner, repository, _ := strings.Cut(name, "/")
	return strings.ToLower(name) + "@" + ref, owner != "" && repository != "" && ref != "" && !strings.Contains(repository, "/")
}

// PinOf is what a lock file calls an action: a folder in a repository goes by the repository. It is "" of what none holds.
func PinOf(c *Component) string {
	parts := strings.SplitN(c.Name, "/", 3)
	if c.Kind != Action || c.Pin != Named && c.Pin != Commit && c.Pin != Locked || len(parts) < 2 || strings.Contains(c.Text, "://") {
		return ""
	}
	pin, _ := pinIn(parts[0] + "/" + parts[1] + "@" + c.Ref)
	return pin
}

// commitIn reads "sha1-HEX" and "sha256-HEX"; "" is anything else, such as a part of a hash.
func commitIn(text string) string {
	algorithm, hash, _ := strings.Cut(strings.ToLower(text), "-")
	if length := map[string]int{"sha1": 40, "sha256": 64}[algorithm]; len(hash) != length || pinOf(hash) != Commit {
		return ""
	}
	return hash
}

// disagrees tells why GitHub refuses a commit: it is not the one that the pin itself names, or the ref that it was found by is another than the pin's.
func disagrees(pin, commit, ref string) string {
	_, named, _ := strings.Cut(pin, "@")
	switch {
	case pinOf(named) == Commit && !strings.EqualFold(named, commit):
		return "its commit is not the one that it is named by"
	case pinOf(named) != Commit && ref != "" && ref != named:
		return "its ref is not the one that it is named by"
	}
	return ""
}

// Lists tells whether a workflow goes by the lock.
func (l *Lock) Lists(workflow string) bool {
	if l == nil {
		return false
	}
	_, ok := l.workflows[workflow]
	return ok
}

// Pins are what the lock has for a workflow, sorted: "OWNER/REPOSITORY@REF", of which the owner and the repository are in lower case.
func (l *Lock) Pins(workflow string) []string {
	if l == nil {
		return nil
	}
	return l.workflows[workflow]
}

// Step is the component of a workflow's step, at the commit that the lock holds it at. If it holds none, the component is as it was, and why says what is missing;
// it is "" where there is no lock, and of what no lock holds.
func (l *Lock) Step(workflow string, c Component) (held Component, why string) {
	pin := PinOf(&c)
	switch {
	case l == nil || c.Pin != Named || pin == "":
		return c, ""
	case !l.Lists(workflow):
		return c, "the lock file does not list the workflow"
	}
	pins := l.workflows[workflow]
	if _, ok := slices.BinarySearch(pins, pin); ok {
		return l.hold(c, pin)
	}
	name, _, _ := strings.Cut(pin, "@")
	if i, _ := slices.BinarySearch(pins, name+"@"); i < len(pins) && strings.HasPrefix(pins[i], name+"@") {
		return c, "the lock file has it at " + pins[i][len(name)+1:]
	}
	return c, "the lock file does not have it for this workflow"
}

// Part is a component that another one pulls in, at the commit that the lock holds it at, if any.
func (l *Lock) Part(outer *Component, c Component) Component {
	pin := PinOf(&c)
	if c.Pin != Named || pin == "" {
		return c
	}
	if _, ok := slices.BinarySearch(l.pulls(outer), pin); ok {
		c, _ = l.hold(c, pin)
	}
	return c
}

// Parts are the components that the lock says another one pulls in, by their repositories alone: it does not tell folders, nor images.
func (l *Lock) Parts(outer *Component) iter.Seq[Component] {
	return func(yield func(Component) bool) {
		for _, pin := range l.pulls(outer) {
			c := component(Action, pin, outer.At)
			if c.Pin == Named {
				c, _ = l.hold(c, pin)
			}
			if !yield(c) {
				return
			}
		}
	}
}

// Pulled are all components that the lock says another one pulls in, itself or through others, without those that were seen.
func (l *Lock) Pulled(outer *Component, seen map[string]bool) (all []Component) {
	if seen[PinOf(outer)] {
		return nil
	}
	seen[PinOf(outer)] = true
	for todo := []Component{*outer}; len(todo) > 0; todo = todo[1:] {
		for c := range l.Parts(&todo[0]) {
			if pin := PinOf(&c); !seen[pin] {
				seen[pin] = true
				all, todo = append(all, c), append(todo, c)
			}
		}
	}
	return all
}

// pulls are the pins of what a component pulls in. What is not held pulls in what it likes.
func (l *Lock) pulls(outer *Component) []string {
	if l == nil || outer == nil || outer.Pin != Commit && outer.Pin != Locked {
		return nil
	}
	if a := l.actions[PinOf(outer)]; a != nil && a.commit != "" {
		return a.pulls
	}
	return nil
}

// hold holds a component at the commit of its pin.
func (l *Lock) hold(c Component, pin string) (held Component, why string) {
	switch a := l.actions[pin]; {
	case a == nil:
		return c, "the lock file has no commit for it"
	case a.commit == "":
		return c, "the lock file does not hold it: " + a.why
	default:
		c.Pin, c.Commit = Locked, a.commit
		return c, ""
	}
}
