package pipeline

import (
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"
)

// A Place is where a file lies.
type Place struct {
	Repository string // "owner/name", a GitLab project's path or an address, or Templates; "" is the repository that is read
	Ref        string // "" is the ref that is read, or whatever is newest of another repository
	Path       string
}

// Templates is the repository of the templates that GitLab itself brings along. No project is called so, for each lies in a group.
const Templates = "template"

// A Lookup hands out a file, if it has it. Of a path that ends with a slash it hands out the paths of all files below, a line each, if it can tell them; "/" is
// the whole repository. The same place must have the same content for as long as a call that takes it lasts.
type Lookup func(Place) (content []byte, ok bool)

// Bounds of what is merged.
const (
	maxIncludes     = 150       // files of one pipeline: GitLab's own default (docs.gitlab.com/ci/yaml/includes)
	maxExtends      = 11        // levels of extends, and of references in references: GitLab's own (docs.gitlab.com/ci/yaml, "extends", "!reference")
	maxStars        = 20        // of a pattern for files: each may be tried at each character of each path
	maxMergedNodes  = 2_000_000 // ten times what one file may have: jobs that extend others repeat them
	maxMergedLength = 64 << 20  // bytes of text, likewise
)

// Merge reads a GitLab definition with the files that it includes, as GitLab would: includes are merged, then extends, then !reference. What lookup does
// not have stays in Includes, and what of it is missing is a gap. Conditions of includes are not tested: each is taken to hold.
func Merge(place Place, content []byte, lookup Lookup) (d *Definition) {
	return merged(place, lookup, func(m *merger) *yaml.Node {
		if len(content) > maxSize {
			m.r.gap("", fmt.Sprintf("larger than %d bytes", maxSize))
			return nil
		}
		root, _, why := tree(GitLab, content)
		if why != "" {
			m.r.gap("", why)
			return nil
		}
		return root
	})
}

// Child reads the definition of the pipeline that a job of a merged definition triggers in its own project. It is nil if the job triggers none.
func (d *Definition) Child(job *Job, place Place, lookup Lookup) *Definition {
	include := get(get(get(d.root, job.ID), "trigger"), "include")
	if include == nil {
		return nil
	}
	return merged(place, lookup, func(*merger) *yaml.Node {
		key := yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: "include", Line: include.Line, Column: include.Column}
		return &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map", Line: include.Line, Column: include.Column, Content: []*yaml.Node{&key, include}}
	})
}

func merged(place Place, lookup Lookup, first func(*merger) *yaml.Node) (d *Definition) {
	d = &Definition{Dialect: GitLab, Path: place.Path}
	m := &merger{r: &reader{def: d}, lookup: lookup, left: budget{maxMergedNodes, maxMergedLength}, of: map[*yaml.Node]Place{}, done: map[string]*yaml.Node{}}
	defer func() { // as in Parse
		if p := recover(); p != nil {
			d = &Definition{Dialect: GitLab, Path: place.Path}
			(&reader{def: d}).gap("", "the parser broke off")
		}
	}()
	root := first(m)
	if root == nil {
		return d
	}
	m.root = m.file(place, root, []Place{place})
	m.keys = map[string]*yaml.Node{}
	for key, value := range pairs(m.root) {
		m.keys[key.Value] = value
	}
	m.extendAll()
	d.root = m.expand(m.root, 0, maxDepth)
	if m.left.nodes < 0 || m.left.text < 0 {
		m.r.gap("", fmt.Sprintf("more than %d YAML nodes or %d bytes when it is merged", maxMergedNodes, maxMergedLength))
		d.root = nil
		return d
	}
	m.r.gitlab(d.root)
	keys := map[string]*yaml.Node{}
	for key := range pairs(d.root) {
		keys[key.Value] = key
	}
	for i := range d.Jobs {
		d.Jobs[i].Place = m.of[keys[d.Jobs[i].ID]]
	}
	return d
}

// A merger makes one tree of many files.
type merger struct {
	r      *reader
	lookup Lookup
	left   budget
	files  int
	of     map[*yaml.Node]Place // where jobs' names stand
	root   *yaml.Node
	keys   map[string]*yaml.Node // of root
	done   map[string]*yaml.Node // jobs that have what they extend; nil while that is looked for
}

// file merges a file into what it includes. chain has the files that lead to it, and itself.
func (m *merger) file(place Place, root *yaml.Node, chain []Place) *yaml.Node {
	own := &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map", Line: root.Line, Column: root.Column}
	var includes []*yaml.Node
	for key, value := range pairs(root) {
		if key.Value == "include" {
			includes = listOf(value)
			continue
		}
		m.of[key] = place
		own.Content = append(own.Content, key, value)
	}
	out := &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map", Line: root.Line, Column: root.Column}
	for _, n := range includes {
		c, ok := includeOf(n)
		if !ok {
			m.r.gap("include", fmt.Sprintf("line %d: of nothing that is known", n.Line))
			continue
		}
		whole := false
		for _, choices := range m.placesOf(n, &c, place) {
			child, at, why := m.open(choices, get(n, "inputs"), chain)
			if whole = why == ""; !whole {
				m.r.gap("include "+c.Text, why)
				break
			}
			out = m.deep(out, m.file(at, child, append(slices.Clone(chain), at)))
		}
		if whole {
			m.r.def.Included = append(m.r.def.Included, c)
		} else {
			m.r.def.Includes = append(m.r.def.Includes, c)
		}
	}
	return m.deep(out, own)
}

// open reads the first of some places that there is, and writes inputs into it.
func (m *merger) open(choices []Place, inputs *yaml.Node, chain []Place) (root *yaml.Node, at Place, why string) {
	for _, at := range choices {
		if slices.Contains(chain, at) {
			return nil, at, "it includes itself"
		}
		if m.files >= maxIncludes {
			return nil, at, fmt.Sprintf("more than %d files are included", maxIncludes)
		}
		content, ok := m.lookup(at)
		if !ok {
			continue
		}
		m.files++
		if len(content) > maxSize {
			return nil, at, fmt.Sprintf("larger than %d bytes", maxSize)
		}
		root, heading, why := tree(GitLab, content)
		if why == "" {
			m.fill(root, inputsOf(get(get(heading, "spec"), "inputs"), inputs))
		}
		return root, at, why
	}
	return nil, Place{}, "the file cannot be read"
}

// placesOf are the files that an include names, each with the places at which it can lie. There are none if that is only known when it runs.
func (m *merger) placesOf(n *yaml.Node, c *Component, from Place) (files [][]Place) {
	name := c.Name
	if c.Kind == Catalogue { // of the same server, whose name is mostly written as a variable
		name = strings.TrimPrefix(strings.TrimPrefix(name, "$CI_SERVER_FQDN/"), "$CI_SERVER_HOST/")
	}
	project := text(get(n, "project"))
	switch {
	case strings.Contains(name+c.Ref, "$"):
	case c.Kind == Catalogue:
		dir, base := path.Split(name)
		at := func(file string) Place { return Place{strings.TrimSuffix(dir, "/"), c.Ref, file} }
		files = [][]Place{{at("templates/" + base + ".yml"), at("templates/" + base + "/template.yml")}}
	case c.Kind == Template:
		files = [][]Place{{{Repository: Templates, Path: name}}}
	case project != "":
		for _, file := range words(get(n, "file")) {
			files = append(files, []Place{{project, c.Ref, strings.TrimPrefix(file, "/")}})
		}
	case strings.Contains(name, "://"):
		files = [][]Place{{{Repository: name}}}
	case strings.Contains(name, "*"):
		matching, why := m.matching(from, strings.TrimPrefix(name, "/"))
		for _, file := range matching {
			files = append(files, []Place{{from.Repository, from.Ref, file}})
		}
		if why != "" {
			m.r.gap("include "+c.Text, why)
		}
	default:
		files = [][]Place{{{from.Repository, from.Ref, strings.TrimPrefix(name, "/")}}}
	}
	return files
}

// matching are the files that a pattern stands for, in order: * is anything but a slash, ** anything (docs.gitlab.com/ci/yaml/includes, "Use include:local with
// wildcard file paths"). why is there if these are not all. A pattern counts as one of the files that are included, as it costs more.
func (m *merger) matching(from Place, pattern string) (files []string, why string) {
	switch stars := strings.Count(pattern, "*"); {
	case m.files >= maxIncludes:
		return nil, fmt.Sprintf("more than %d files are included", maxIncludes)
	case stars > maxStars:
		return nil, fmt.Sprintf("its pattern has more than %d stars", maxStars)
	}
	m.files++
	from.Path = pattern[:strings.LastIndexByte(pattern[:strings.IndexByte(pattern, '*')], '/')+1]
	if from.Path == "" {
		from.Path = "/"
	}
	list, ok := m.lookup(from)
	if !ok {
		return nil, "the files below " + from.Path + " cannot be listed"
	}
	re := regexp.MustCompile("^" + strings.NewReplacer(`\*\*`, `.*`, `\*`, `[^/]*`).Replace(regexp.QuoteMeta(pattern)) + "$")
	for file := range strings.Lines(string(list)) {
		if file = strings.TrimSuffix(file, "\n"); re.MatchString(file) {
			files = append(files, file)
		}
	}
	if len(files) == 0 {
		return nil, "no file is called so"
	}
	slices.Sort(files)
	return files, ""
}

// inputsOf are the values of a file's inputs: those that the include gives, or else the defaults.
func inputsOf(spec, given *yaml.Node) map[string]*yaml.Node {
	values := map[string]*yaml.Node{}
	for key, n := range pairs(spec) {
		if preset := get(n, "default"); preset != nil {
			values[key.Value] = preset
		}
	}
	for key, n := range pairs(given) {
		values[key.Value] = n
	}
	return values
}

// fill writes inputs into a tree in place of "$[[ inputs.name ]]".
func (m *merger) fill(n *yaml.Node, values map[string]*yaml.Node) {
	for i, child := range n.Content {
		if child.Kind == yaml.ScalarNode && strings.Contains(child.Value, "$[[") {
			if name, rest, ok := input(child.Value); ok && rest == "" && strings.HasPrefix(child.Value, "$[[") && values[name] != nil {
				n.Content[i] = values[name] // a whole list, maybe
				continue
			}
			child.Value = m.filled(child.Value, values)
		}
		m.fill(child, values)
	}
}

func (m *merger) filled(s string, values map[string]*yaml.Node) string {
	var b strings.Builder
	for {
		before, _, found := strings.Cut(s, "$[[")
		b.WriteString(before)
		if !found {
			return b.String()
		}
		name, rest, ok := input(s)
		if value := values[name]; ok && value != nil && value.Kind == yaml.ScalarNode && m.left.text > 0 {
			m.left.text -= len(value.Value)
			b.WriteString(value.Value)
		} else {
			b.WriteString(s[len(before) : len(s)-len(rest)])
		}
		s = rest
	}
}

// input is the name of the first input that a text asks for, and what follows it.
func input(s string) (name, rest string, ok bool) {
	_, s, _ = strings.Cut(s, "$[[")
	inside, rest, closed := strings.Cut(s, "]]")
	if !closed {
		return "", "", false
	}
	inside, _, _ = strings.Cut(inside, "|") // functions that change the value
	name, ok = strings.CutPrefix(strings.TrimSpace(inside), "inputs.")
	return name, rest, ok
}

// deep is a mapping with another one over it: mappings in both are merged, all else is the other's.
func (m *merger) deep(a, b *yaml.Node) *yaml.Node { return m.deepTo(a, b, maxDepth) }

func (m *merger) deepTo(a, b *yaml.Node, depth int) *yaml.Node {
	out := &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map", Line: b.Line, Column: b.Column}
	at := map[string]int{}
	put := func(key, value *yaml.Node) {
		m.left.nodes--
		at[key.Value] = len(out.Content)
		out.Content = append(out.Content, key, value)
	}
	for key, value := range pairs(a) {
		if m.left.nodes < 0 {
			return out
		}
		put(key, value)
	}
	for key, value := range pairs(b) {
		if m.left.nodes < 0 {
			return out
		}
		i, both := at[key.Value]
		if !both {
			put(key, value)
			continue
		}
		if old := real(out.Content[i+1]); depth > 0 && old.Kind == yaml.MappingNode && value.Kind == yaml.MappingNode {
			value = m.deepTo(old, value, depth-1)
		}
		out.Content[i], out.Content[i+1] = key, value
	}
	return out
}

// extendAll gives each job what it extends.
func (m *merger) extendAll() {
	out := *m.root
	out.Content = slices.Clone(out.Content)
	for i := 0; i+1 < len(out.Content); i += 2 {
		if name := out.Content[i].Value; !slices.Contains(gitlabKeys, name) && real(out.Content[i+1]).Kind == yaml.MappingNode {
			out.Content[i+1] = m.extended(name, real(out.Content[i+1]), maxExtends)
			m.keys[name] = out.Content[i+1]
		}
	}
	m.root = &out
}

func (m *merger) extended(name string, n *yaml.Node, depth int) *yaml.Node {
	if done, ok := m.done[name]; ok && done != nil {
		return done
	}
	parents := words(get(n, "extends"))
	if len(parents) == 0 {
		m.done[name] = n
		return n
	}
	m.done[name] = nil
	base := &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map"}
	missing := false
	for _, p := range parents {
		parent := m.keys[p]
		done, begun := m.done[p]
		why := ""
		switch {
		case parent == nil || parent.Kind != yaml.MappingNode:
			why = fmt.Sprintf("it extends %q, which no file that can be read has", p)
		case begun && done == nil:
			why = fmt.Sprintf("it extends itself by %q", p)
		case depth == 0:
			why = fmt.Sprintf("it extends more than %d levels", maxExtends)
		}
		if why != "" {
			missing = true
			m.r.gap(fmt.Sprintf("job %q", name), why)
			continue
		}
		base = m.deep(base, m.extended(p, parent, depth-1))
	}
	out := m.deep(base, n)
	if !missing { // what is left of extends is what is not known
		for i := 0; i+1 < len(out.Content); i += 2 {
			if out.Content[i].Value == "extends" {
				out.Content = slices.Delete(out.Content, i, i+2)
				break
			}
		}
	}
	m.done[name] = out
	return out
}

// expand writes references and aliases out. level counts references in references.
func (m *merger) expand(n *yaml.Node, level, depth int) *yaml.Node {
	n = real(n)
	m.left.nodes--
	m.left.text -= len(n.Value)
	if m.left.nodes < 0 || m.left.text < 0 || n.Kind == yaml.ScalarNode {
		return n
	}
	if depth == 0 {
		m.r.gap("", fmt.Sprintf("line %d: nested deeper than %d levels", n.Line, maxDepth))
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!null", Line: n.Line, Column: n.Column}
	}
	if n.Tag == "!reference" {
		return m.reference(n, level, depth)
	}
	out := *n
	out.Content = nil
	if n.Kind == yaml.MappingNode {
		for key, value := range pairs(n) {
			out.Content = append(out.Content, key, m.expand(value, level, depth-1))
		}
		return &out
	}
	for _, child := range n.Content {
		out.Content = append(out.Content, m.expand(child, level, depth-1))
	}
	return &out
}

// reference is what a reference stands for. One that nothing is known of stays as it is.
func (m *merger) reference(n *yaml.Node, level, depth int) *yaml.Node {
	var target *yaml.Node
	for i, part := range n.Content {
		if i == 0 {
			target = m.keys[text(part)]
			continue
		}
		if target = real(target); target != nil {
			m.left.nodes -= len(target.Content)
		}
		target = get(target, text(part))
	}
	switch {
	case target == nil:
		m.r.gap("", fmt.Sprintf("line %d: a reference to what no file that can be read has", n.Line))
		return n
	case level == maxExtends:
		m.r.gap("", fmt.Sprintf("line %d: references to references, more than %d levels of them", n.Line, maxExtends))
		return n
	}
	return m.expand(target, level+1, depth-1)
}
