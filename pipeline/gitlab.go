package pipeline

import (
	"fmt"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"
)

// Keys of a definition that are no jobs (docs.gitlab.com/ci/yaml, "Global keywords" and those that are accepted at the top for old definitions).
var gitlabKeys = []string{
	"after_script", "before_script", "cache", "default", "image", "include", "services", "spec", "stages", "types", "variables", "workflow",
}

// gitlab reads a definition, best one that the forge has merged: of what it includes and extends only the names are known.
func (r *reader) gitlab(root *yaml.Node) {
	d := r.def
	r.includes(get(root, "include"))
	preset := get(root, "default")
	d.Env = settings(get(root, "variables"))
	rules := get(get(root, "workflow"), "rules")
	workflow := ruled(rules)
	globals := &yaml.Node{Kind: yaml.MappingNode} // which each job asks for, however many there are
	for key, n := range pairs(root) {
		if slices.Contains(gitlabKeys, key.Value) {
			globals.Content = append(globals.Content, key, n)
		}
	}
	for key, n := range pairs(root) {
		if slices.Contains(gitlabKeys, key.Value) {
			if key.Value != "include" {
				d.References = append(d.References, variablesIn(n, key.Value)...)
			}
			continue
		}
		if n.Kind != yaml.MappingNode {
			if !strings.HasPrefix(key.Value, ".") { // else it is there to be referred to
				r.gap(fmt.Sprintf("job %q", key.Value), "not a mapping")
			}
			continue
		}
		job := gitlabJob(key, n, preset, globals)
		if len(job.Code) > maxCode {
			job.Code = job.Code[:maxCode]
			r.gap(fmt.Sprintf("job %q", key.Value), fmt.Sprintf("it has more than %d images", maxCode))
		}
		job.Events = eventsOf(n)
		switch limited := get(n, "rules") != nil || get(n, "only") != nil || len(job.Extends) > 0; {
		case rules != nil:
			if events := both(job.Events, workflow); events == nil || len(events) > 0 { // else it is said wrongly, or not understood
				job.Events = events
			}
		case !limited: // docs.gitlab.com/ci/yaml/deprecated_keywords: only: [branches, tags]
			job.Events = byRefs(key)
		}
		if job.Events == nil {
			job.Events = []Event{{Name: Any, At: at(key)}}
		}
		if !job.Template {
			if d.Events = either(d.Events, job.Events); d.Events == nil {
				d.Events = []Event{{Name: Any, At: at(root)}}
			}
		}
		d.Jobs = append(d.Jobs, job)
	}
	if len(d.Jobs) == 0 && len(d.Includes) == 0 {
		r.gap("", "no jobs")
	}
}

// maxCode is how many images a job has, its services' among them: each job has those that are set for all, of which people have a few.
const maxCode = 50

func gitlabJob(key, n, preset, globals *yaml.Node) Job {
	job := Job{
		ID: key.Value, Name: key.Value, At: at(key), Stage: text(get(n, "stage")), Template: strings.HasPrefix(key.Value, "."),
		Extends: words(get(n, "extends")), Env: settings(get(n, "variables")),
		References: variablesIn(n, ""),
	}
	for key := range pairs(get(n, "secrets")) { // of a vault
		job.References = append(job.References, Reference{Secrets, key.Value, "secrets", at(key)})
	}
	or := func(key string) *yaml.Node { // a job's own, or what is preset
		own := get(n, key)
		if own != nil || !inherits(n, key) {
			return own
		}
		if p := get(preset, key); p != nil {
			return p
		}
		return get(globals, key)
	}
	job.IDTokens = idTokens(or("id_tokens"))
	tags := or("tags")
	job.Runner.Labels = words(tags)
	// What it extends may ask for a runner, and the forge writes variables into tags.
	job.Runner.Computed = len(job.Extends) > 0 && get(n, "tags") == nil || tags != nil && tags.Tag == "!reference" ||
		slices.ContainsFunc(job.Runner.Labels, func(l string) bool { return strings.Contains(l, "$") })
	if env := get(n, "environment"); env != nil {
		name := text(env)
		if env.Kind == yaml.MappingNode {
			name = text(get(env, "name"))
		}
		job.Environment = Text{name, strings.Contains(name, "$"), at(env)}
	}
	for _, need := range sequence(get(n, "needs")) {
		if name := text(need) + text(get(need, "job")); name != "" {
			job.Needs = append(job.Needs, name)
		}
	}
	for _, rule := range flat(get(n, "rules"), maxNestedRules) {
		if condition := text(get(rule, "if")); condition != "" {
			job.Rules = append(job.Rules, condition)
		}
	}
	if job.Trigger = triggerOf(get(n, "trigger")); job.Trigger != nil { // no runner takes it
		job.Runner, job.IDTokens = Runner{}, nil
		return job
	}
	job.Code = append(job.Code, imagesIn(or("image"))...)
	if services := or("services"); services != nil && services.Kind == yaml.SequenceNode {
		for _, s := range services.Content[:min(len(services.Content), maxCode+1)] {
			job.Code = append(job.Code, imagesIn(s)...)
		}
	}
	return job
}

// inherits tells whether a job takes over what is preset for a key (docs.gitlab.com/ci/yaml, "inherit").
func inherits(job *yaml.Node, key string) bool {
	from := get(get(job, "inherit"), "default")
	if from == nil || from.Kind == yaml.SequenceNode {
		return from == nil || slices.Contains(words(from), key)
	}
	return from.Value != "false"
}

// triggerOf reads what a job starts (docs.gitlab.com/ci/yaml, "trigger").
func triggerOf(n *yaml.Node) *Trigger {
	if n == nil {
		return nil
	}
	t := &Trigger{Project: text(n) + text(get(n, "project")), At: at(n)}
	for _, include := range listOf(get(n, "include")) {
		if get(include, "artifact") != nil {
			t.Made = true
		} else if c, ok := includeOf(include); ok {
			t.Includes = append(t.Includes, c)
		}
	}
	return t
}

func sequence(n *yaml.Node) (list []*yaml.Node) {
	if n = real(n); n != nil && n.Kind == yaml.SequenceNode {
		for _, child := range n.Content {
			list = append(list, real(child))
		}
	}
	return list
}

func imagesIn(n *yaml.Node) []Component {
	n = real(n)
	name := text(n)
	if name == "" {
		name = text(get(n, "name"))
	}
	if name == "" {
		return nil
	}
	return []Component{imageOf(name, at(n))}
}

// includes reads where further parts of the definition lie.
func (r *reader) includes(n *yaml.Node) {
	for _, n := range listOf(n) {
		c, ok := includeOf(n)
		if !ok {
			r.gap("include", fmt.Sprintf("line %d: of nothing that is known", n.Line))
			continue
		}
		r.def.Includes = append(r.def.Includes, c)
	}
}

// listOf are the items of a list, or the one that stands in its place.
func listOf(n *yaml.Node) []*yaml.Node {
	switch n = real(n); {
	case n == nil:
		return nil
	case n.Kind == yaml.SequenceNode:
		return sequence(n)
	}
	return []*yaml.Node{n}
}

// Included is a file that GitLab says it has put into a definition: its type, location, project and ref as "Validate a project's CI/CD configuration" gives them
// (docs.gitlab.com/api/lint).
func Included(kind, location, project, ref string) Component {
	switch {
	case kind == "component":
		return component(Catalogue, location, Position{})
	case kind == "template":
		return Component{Kind: Template, Text: location, Name: location, Pin: Unnamed}
	case project != "":
		c := Component{Kind: Include, Name: project + ":" + location, Ref: ref, Pin: pinOf(ref)}
		c.Text = strings.TrimSuffix(c.Name+"@"+ref, "@")
		return c
	case kind == "local":
		return Component{Kind: Include, Text: location, Name: location, Pin: Local}
	}
	return Component{Kind: Include, Text: location, Name: location, Pin: Unnamed}
}

// includeOf reads one include. It is not ok if it names nothing that is known.
func includeOf(n *yaml.Node) (c Component, ok bool) {
	c = Component{Kind: Include, Pin: Unnamed, At: at(n)}
	project, ref := text(get(n, "project")), text(get(n, "ref"))
	switch {
	case n.Kind == yaml.ScalarNode:
		c.Name, c.Pin = n.Value, Local
		if strings.Contains(n.Value, "://") {
			c.Pin = Unnamed
		}
	case text(get(n, "component")) != "":
		c = component(Catalogue, text(get(n, "component")), at(n))
	case text(get(n, "template")) != "":
		c.Kind, c.Name = Template, text(get(n, "template"))
	case text(get(n, "remote")) != "":
		c.Name, c.Ref = text(get(n, "remote")), text(get(n, "integrity"))
		if c.Ref != "" {
			c.Pin = Digest
		}
	case project != "":
		c.Name, c.Ref, c.Pin = project+":"+strings.Join(words(get(n, "file")), ","), ref, pinOf(ref)
	case text(get(n, "local")) != "":
		c.Name, c.Pin = text(get(n, "local")), Local
	default:
		return c, false
	}
	if c.Text == "" {
		c.Text = c.Name
	}
	if strings.Contains(c.Name+c.Ref, "$") {
		c.Pin = Computed
	}
	return c, true
}

func settings(n *yaml.Node) (list []Setting) {
	for key, v := range pairs(n) {
		s := text(v)
		if v.Kind == yaml.MappingNode {
			s = text(get(v, "value"))
		}
		list = append(list, Setting{key.Value, s, at(key)})
	}
	return list
}

func idTokens(n *yaml.Node) (list []Setting) {
	for key, v := range pairs(n) {
		list = append(list, Setting{key.Value, strings.Join(words(get(v, "aud")), ","), at(key)})
	}
	return list
}

// variablesIn collects the variables that the scalars below n name. It is a hint and no more: every job has all of them, and a program
// reads those that it knows by itself.
func variablesIn(n *yaml.Node, in string) (found []Reference) {
	n = real(n)
	switch n.Kind {
	case yaml.ScalarNode:
		for name := range shellNames(n.Value) {
			found = append(found, Reference{Variables, name, in, at(n)})
		}
	case yaml.SequenceNode:
		for _, child := range n.Content {
			found = append(found, variablesIn(child, in)...)
		}
	case yaml.MappingNode:
		for key, value := range pairs(n) {
			found = append(found, variablesIn(value, join(in, key.Value))...)
		}
	}
	return found
}

// shellNames yields what a text takes from variables, as shells write it: $NAME, ${NAME}, %NAME% and $env:NAME.
func shellNames(s string) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		for i := 0; i < len(s); i++ {
			rest := s[i+1:]
			switch s[i] {
			case '$':
				rest = strings.TrimPrefix(rest, "{")
				if len(rest) > 4 && strings.EqualFold(rest[:4], "env:") {
					rest = rest[4:]
				}
				if name := rest[:nameLength(rest)]; name != "" && !yield(name) {
					return
				}
			case '%':
				if n := nameLength(rest); n > 0 && n < len(rest) && rest[n] == '%' {
					if !yield(rest[:n]) {
						return
					}
					i += n + 1
				}
			}
		}
	}
}

// nameLength is how long the name is that s begins with.
func nameLength(s string) int {
	for i := range len(s) {
		c := s[i]
		letter := c == '_' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
		if !letter && (i == 0 || c < '0' || c > '9') {
			return i
		}
	}
	return len(s)
}
