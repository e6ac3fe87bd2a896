package advisory

import (
	"embed"
	"encoding/json"
	"fmt"
	"path"
	"strings"
	"sync"
	"time"

	"github.com/leakreach/leakreach/internal/lazyregexp"
)

//go:embed records/*.json
var records embed.FS

// An Advisory says that components were compromised. Its text comes from its sources, which it names.
type Advisory struct {
	ID      string
	Aliases []string
	Summary string
	URL     string // its first source
	Open    bool   // the malicious content is still served
}

// A Window is a time in which a name stood for malicious content. Both ends are as precise as their source.
type Window struct{ Start, End time.Time }

// String is the window as people write it: days, or minutes where both lie on one day.
func (w Window) String() string {
	const minutes = "2006-01-02 15:04"
	if w.Start.Format(time.DateOnly) == w.End.Format(time.DateOnly) {
		return w.Start.Format(minutes) + " to " + w.End.Format("15:04") + " UTC"
	}
	return w.Start.Format(minutes) + " to " + w.End.Format(minutes) + " UTC"
}

// A record is one file, as far as it is used here: README.md beside it describes the form.
type record struct {
	ID       string   `json:"id"`
	Aliases  []string `json:"aliases"`
	Summary  string   `json:"summary"`
	Affected []struct {
		Package struct {
			Name string `json:"name"`
		} `json:"package"`
		Ranges []struct {
			Events []struct {
				Fixed string `json:"fixed"`
			} `json:"events"`
		} `json:"ranges"`
	} `json:"affected"`
	References []struct {
		URL string `json:"url"`
	} `json:"references"`
	Specific struct {
		Compromise struct {
			Spec       string       `json:"spec"`
			Status     string       `json:"status"`
			Components []*component `json:"components"`
			Via        []*via       `json:"via"`
		} `json:"compromise"`
	} `json:"database_specific"`
}

type component struct {
	ID      string   `json:"id"`
	Type    string   `json:"type"`
	Name    string   `json:"name"`
	Images  []string `json:"images"`
	Windows []struct {
		ID    string    `json:"id"`
		Start time.Time `json:"start"`
		End   time.Time `json:"end"`
	} `json:"windows"`
	Mutable   []mutable  `json:"mutable_refs"`
	Malicious []identity `json:"malicious"`
	Clean     []identity `json:"clean"`

	advisory *Advisory
	fixed    string // no tag from this version on was ever moved; "" if there is no such version
}

// mutable are names that stood for malicious content.
type mutable struct {
	Kind      string   `json:"kind"`
	List      []string `json:"list"`
	Listed    *int     `json:"listed"`
	Claimed   *int     `json:"claimed"`
	Exclude   []string `json:"exclude"`
	Windows   []string `json:"windows"`
	Certainty string   `json:"certainty"`
}

// An identity is a content that does not change: a git commit or an image's digest. Those of files are no component of a definition.
type identity struct {
	SHA     string `json:"sha"`
	Digest  string `json:"digest"`
	Version string `json:"version"`
}

// via says how another component pulls a compromised one in.
type via struct {
	Kind  string `json:"kind"`
	Outer struct {
		Name  string             `json:"name"`
		SHA   string             `json:"sha"`
		Any   bool               `json:"any_commit"`
		Input map[string]*string `json:"input"`
	} `json:"outer"`
	Inner struct {
		Component string `json:"component"`
		Ref       string `json:"ref"`
	} `json:"inner"`
	Windows   []string `json:"windows"`
	Certainty string   `json:"certainty"`

	inner *component
}

// Load returns the records that the program has in it. They are read once, when they are first needed, and shared: nobody changes them.
func Load() (*Feed, error) { return loaded() }

var loaded = sync.OnceValues(read)

func read() (*Feed, error) {
	f := &Feed{
		components: map[string][]*component{}, outers: map[string][]*via{}, malicious: map[string]*component{}, clean: map[string]map[string]bool{},
	}
	files, err := records.ReadDir("records")
	if err != nil {
		return nil, fmt.Errorf("listing advisories: %w", err)
	}
	for _, file := range files {
		content, err := records.ReadFile(path.Join("records", file.Name()))
		if err != nil {
			return nil, fmt.Errorf("reading advisory: %w", err)
		}
		var r record
		if err := json.Unmarshal(content, &r); err != nil {
			return nil, fmt.Errorf("reading advisory %s: %w", file.Name(), err)
		}
		if err := f.add(&r); err != nil {
			return nil, fmt.Errorf("advisory %s: %w", file.Name(), err)
		}
	}
	return f, nil
}

func (f *Feed) add(r *record) error {
	c := &r.Specific.Compromise
	if c.Spec != "1.0" {
		return fmt.Errorf("form %q is not known", c.Spec)
	}
	advisory := &Advisory{ID: r.ID, Aliases: r.Aliases, Summary: r.Summary, Open: c.Status == "open"}
	if len(r.References) > 0 {
		advisory.URL = r.References[0].URL
	}
	byID := map[string]*component{}
	for _, k := range c.Components {
		k.advisory, k.fixed = advisory, r.fixed(k.Name)
		byID[k.ID] = k
		for _, name := range k.names() {
			f.components[name] = append(f.components[name], k)
		}
		if err := f.identities(k); err != nil {
			return err
		}
	}
	for _, v := range c.Via {
		if v.inner = byID[v.Inner.Component]; v.inner == nil {
			return fmt.Errorf("no component %q", v.Inner.Component)
		}
		name := strings.ToLower(v.Outer.Name)
		f.outers[name] = append(f.outers[name], v)
	}
	return nil
}

// hash is what an identity has to be, in full: a part of one would match what nobody has looked at.
var hash = lazyregexp.New(`^(?:[0-9a-f]{40}|sha256:[0-9a-f]{64})$`)

func (f *Feed) identities(k *component) error {
	for _, m := range k.Malicious {
		id := m.SHA + m.Digest
		if id == "" { // a file's
			continue
		}
		if !hash().MatchString(id) {
			return fmt.Errorf("%q is no full identity", id)
		}
		f.malicious[id] = k
	}
	for _, c := range k.Clean {
		id := c.SHA + c.Digest
		if id == "" {
			id = c.Version
		}
		for _, name := range k.names() {
			if f.clean[name] == nil {
				f.clean[name] = map[string]bool{}
			}
			f.clean[name][id] = true
		}
	}
	return nil
}

// names are what a definition may call a component, in lower case.
func (k *component) names() (names []string) {
	switch k.Type {
	case "github-action", "reusable-workflow", "gitlab-component":
		return []string{strings.ToLower(k.Name)}
	case "container-image":
		for _, image := range k.Images {
			names = append(names, "image:"+strings.ToLower(image))
		}
	}
	return names
}

// fixed is the version from which on a range of the record ends.
func (r *record) fixed(name string) (version string) {
	for _, a := range r.Affected {
		for _, in := range a.Ranges {
			for _, e := range in.Events {
				if strings.EqualFold(a.Package.Name, name) && e.Fixed != "" {
					version = e.Fixed
				}
			}
		}
	}
	return version
}

// windows are those of some ids.
func (k *component) windows(ids []string) (list []Window) {
	for _, w := range k.Windows {
		for _, id := range ids {
			if id == w.ID {
				list = append(list, Window{w.Start, w.End})
			}
		}
	}
	return list
}
