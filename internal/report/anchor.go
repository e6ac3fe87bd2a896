package report

import (
	"slices"
	"strings"

	"github.com/leakreach/leakreach/audit"
)

// anchors are the places of a finding that forge pages can show: files as they are now, inside the repository.
func anchors(f *audit.Finding) []audit.Location {
	return keep(places(f), func(l audit.Location) bool { return inTree(l) && inside(l.Path) })
}

// inside tells whether a path names a file below the repository's root, and nothing else.
func inside(path string) bool {
	return !slices.ContainsFunc(strings.Split(path, "/"), func(s string) bool { return s == "" || s == "." || s == ".." })
}

func anchor(f *audit.Finding) (audit.Location, bool) {
	if locs := anchors(f); len(locs) > 0 {
		return locs[0], true
	}
	return audit.Location{}, false
}

// outside splits "app.jar!conf/x.yml", a place inside a container, into the file that the repository holds and the member. A
// name may hold "!" of its own: what comes before it must look like a file name with an extension.
func outside(path string) (file, member string) {
	file, member, found := strings.Cut(path, "!")
	if !found || member == "" || !strings.Contains(file[strings.LastIndexByte(file, '/')+1:], ".") {
		return path, ""
	}
	return file, member
}
