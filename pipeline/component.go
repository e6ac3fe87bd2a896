package pipeline

import "strings"

// component reads what "uses" names.
func component(kind ComponentKind, s string, where Position) Component {
	if image, ok := strings.CutPrefix(s, "docker://"); ok {
		c := imageOf(image, where)
		c.Text = s
		return c
	}
	c := Component{Kind: kind, Text: s, Name: s, Pin: Unnamed, At: where}
	if name, ref, ok := strings.Cut(s, "@"); ok {
		c.Name, c.Ref, c.Pin = name, ref, pinOf(ref)
	}
	c.Name = strings.TrimPrefix(c.Name, "https://github.com/") // as Gitea's workflows write it
	switch {
	case computed(s):
		c.Pin = Computed
	case strings.HasPrefix(s, "./") || strings.HasPrefix(s, "$/"): // of the checkout, and of the definition's own commit
		c.Pin = Local
	}
	return c
}

// imageOf reads a reference to a container image.
func imageOf(s string, where Position) Component {
	c := Component{Kind: Image, Text: s, Name: s, Pin: Unnamed, At: where}
	if strings.Contains(s, "$") {
		c.Pin = Computed
		return c
	}
	if name, digest, ok := strings.Cut(s, "@"); ok {
		c.Name, c.Ref, c.Pin = name, digest, Digest
		return c
	}
	// The first colon may be that of the registry's port.
	if i := strings.LastIndexByte(s, ':'); i > strings.LastIndexByte(s, '/') {
		c.Name, c.Ref, c.Pin = s[:i], s[i+1:], Named
	}
	return c
}

// pinOf says what a git ref stands for.
func pinOf(ref string) Pin {
	switch {
	case ref == "":
		return Unnamed
	case (len(ref) == 40 || len(ref) == 64) && strings.Trim(ref, "0123456789abcdefABCDEF") == "":
		return Commit
	}
	return Named
}
