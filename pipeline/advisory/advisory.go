// Package advisory knows components of pipelines that were compromised: actions, images and tools whose names stood for malicious content for some hours.
//
// A newcomer starts with [Load] and [Feed.Look]. The records are files in records, one for each case, in the form that README.md describes; adding one takes
// no code. Versions never decide: moved tags were moved back, so that a range says neither who ran the malicious content nor who did not.
package advisory

import (
	"slices"
	"strconv"
	"strings"

	"github.com/leakreach/leakreach/pipeline"
)

// A Feed is all advisories. It is not changed once it is loaded.
type Feed struct {
	components map[string][]*component // by name, images with "image:" before it
	outers     map[string][]*via
	malicious  map[string]*component // by commit or digest
	clean      map[string]map[string]bool
}

// Has tells whether an advisory is among them, by its id or an alias.
func (f *Feed) Has(id string) bool {
	for _, list := range f.components {
		for _, k := range list {
			if k.advisory.ID == id || slices.Contains(k.advisory.Aliases, id) {
				return true
			}
		}
	}
	return false
}

// A Hit is a use of a component that an advisory speaks of.
type Hit struct {
	Advisory  *Advisory
	Component string // as the advisory calls it
	// Malicious says that it is this very content, which is bad at any time. Else it is a name that stood for such content in the windows.
	Malicious bool
	Windows   []Window
	Through   string // how it gets there, if not by its own name: "aquasecurity/setup-trivy@v0.2.1, which it calls"
	Certain   bool   // else the sources contradict each other, or it takes a look at the component to be sure
}

// Look says which advisories speak of a component, as a definition names it or a lock file holds it, with the inputs that it is given.
func (f *Feed) Look(c *pipeline.Component, with []pipeline.Setting) (hits []Hit) {
	exact := c.Exact()
	c = &exact
	name, ref := nameOf(c), strings.ToLower(c.Ref)
	if k := f.malicious[ref]; k != nil {
		return []Hit{{Advisory: k.advisory, Component: k.Name, Malicious: true, Certain: true}}
	}
	if c.Pin == pipeline.Named || c.Pin == pipeline.Unnamed {
		hits = f.moved(c, name)
	}
	for _, v := range f.outers[name] {
		hits = append(hits, f.through(v, c, with)...)
	}
	return hits
}

// nameOf is what a component is looked up by. Images without a host are those of Docker Hub, whose official ones are in "library".
func nameOf(c *pipeline.Component) string {
	name := strings.ToLower(c.Name)
	if c.Kind == pipeline.Image {
		host, rest, ok := strings.Cut(name, "/")
		switch {
		case !ok:
			name = "docker.io/library/" + name
		case host == "index.docker.io":
			name = "docker.io/" + rest
		case !strings.ContainsAny(host, ".:") && host != "localhost":
			name = "docker.io/" + name
		}
		return "image:" + name
	}
	if parts := strings.SplitN(name, "/", 3); len(parts) == 3 { // an action below the repository's root
		name = parts[0] + "/" + parts[1]
	}
	return name
}

// moved are the advisories that say of a component's name that it was moved.
func (f *Feed) moved(c *pipeline.Component, name string) (hits []Hit) {
	ref := c.Ref
	if c.Kind == pipeline.Image && ref == "" {
		ref = "latest" // which is what a registry takes it for
	}
	for _, k := range f.components[name] {
		if f.clean[name][strings.TrimPrefix(ref, "v")] {
			continue
		}
		at := slices.IndexFunc(k.Mutable, func(m mutable) bool { return k.has(&m, ref) })
		if at < 0 {
			continue
		}
		m := k.Mutable[at]
		hits = append(hits, Hit{Advisory: k.advisory, Component: k.Name, Windows: k.windows(m.Windows), Certain: m.Certainty != "uncertain"})
	}
	return hits
}

// has tells whether a name is among those that were moved. Of a list that is known not to be whole, others of its kind count too.
func (k *component) has(m *mutable, ref string) bool {
	switch {
	case slices.Contains(m.List, ref):
		return true
	case slices.Contains(m.Exclude, ref) || m.Kind != "tag" || !isVersion(ref):
		return false
	case m.Claimed != nil && m.Listed != nil && *m.Listed >= *m.Claimed || len(m.List) > 0 && m.Claimed == nil:
		return false
	}
	// A tag of a version that came after the case, as far as the record tells.
	return k.fixed == "" || versionLess(ref, k.fixed)
}

// through is what a component pulls in.
func (f *Feed) through(v *via, c *pipeline.Component, with []pipeline.Setting) []Hit {
	name := nameOf(c)
	hit := Hit{Advisory: v.inner.advisory, Component: v.inner.Name, Windows: v.inner.windows(v.Windows), Certain: v.Certainty != "uncertain"}
	switch v.Kind {
	case "nested-uses":
		if v.Outer.SHA != strings.ToLower(c.Ref) {
			return nil
		}
		hit.Through = v.inner.Name + "@" + v.Inner.Ref + ", which it calls"
	case "nested-uses-rule":
		// Where the record also has the commits that call it, those decide.
		if v.Inner.Ref == "" || f.components[name] != nil || c.Pin == pipeline.Local {
			return nil
		}
		hit.Through, hit.Certain = v.inner.Name+"@"+v.Inner.Ref+", which it calls in some of its versions", false
	case "input", "input-default":
		for input, value := range v.Outer.Input {
			given := slices.IndexFunc(with, func(s pipeline.Setting) bool { return strings.EqualFold(s.Name, input) })
			switch {
			case value == nil && given < 0:
				hit.Through = v.inner.Name + ", which it fetches in its newest version"
			case value != nil && given >= 0 && with[given].Value == *value:
				hit.Through = v.inner.Name + ", which " + input + ": " + *value + " has it fetch"
			default:
				return nil
			}
		}
		// Of an own commit the record may say that it is clean; what it fetches is another thing.
	default:
		return nil
	}
	return []Hit{hit}
}

// isVersion tells whether a ref is a tag of a version, such as "v2" or "0.34.2", and no branch.
func isVersion(ref string) bool {
	s := strings.TrimPrefix(ref, "v")
	return s != "" && '0' <= s[0] && s[0] <= '9'
}

// versionLess compares versions as far as both go: "v45" is less than "46.0.1", and "v46", which may stand for any of them, is not.
func versionLess(a, b string) bool {
	x, y := numbers(a), numbers(b)
	return slices.Compare(x[:min(len(x), len(y))], y[:min(len(x), len(y))]) < 0
}

func numbers(version string) (list []int) {
	for field := range strings.SplitSeq(strings.TrimPrefix(version, "v"), ".") {
		field, _, more := strings.Cut(field, "-")
		n, err := strconv.Atoi(field)
		if err != nil {
			return list
		}
		list = append(list, n)
		if more {
			return list
		}
	}
	return list
}
