package pipeline

import (
	"path"
	"slices"
	"strings"
)

// Glob tells whether a name is one that a pattern of a forge stands for, such as an environment scope or the branches of a protection: * in it is anything.
func Glob(pattern, name string) bool {
	parts := strings.Split(pattern, "*")
	if len(parts) == 1 {
		return pattern == name
	}
	rest, ok := strings.CutPrefix(name, parts[0])
	if !ok {
		return false
	}
	for _, part := range parts[1 : len(parts)-1] {
		i := strings.Index(rest, part)
		if i < 0 {
			return false
		}
		rest = rest[i+len(part):]
	}
	return strings.HasSuffix(rest, parts[len(parts)-1])
}

// Covers tells whether one of the patterns that a rule of GitHub's has takes in a branch. They are names as git has them, or of branches alone, with the
// wildcards of Ruby's fnmatch, of which * stops at a slash and **/ may be nothing, or ~ALL or ~DEFAULT_BRANCH (docs.github.com, "Creating rulesets for a
// repository").
func Covers(patterns []string, branch string, isDefault bool) bool {
	return slices.ContainsFunc(patterns, func(pattern string) bool {
		pattern = strings.TrimPrefix(pattern, "refs/heads/")
		if pattern == "~ALL" || pattern == "~DEFAULT_BRANCH" && isDefault {
			return true
		}
		if strings.Contains(pattern, "**") {
			return Glob(pattern, branch) || Glob(strings.ReplaceAll(pattern, "**/", ""), branch)
		}
		matched, err := path.Match(pattern, branch)
		return matched && err == nil
	})
}
