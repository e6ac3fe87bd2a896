package audit

import (
	"fmt"
	"strings"
)

// Sources is a set of what of a target can be read.
type Sources uint16

// The sources, in the order of what they tell for what they cost.
const (
	SourceHistory   Sources = 1 << iota // every commit that is reachable from any ref
	SourceFiles                         // the working tree or the default branch's; part of the history
	SourceWorkflows                     // definitions of pipelines
	SourceVariables
	SourceSecrets // names; forges do not hand out values
	SourceSettings
	SourceRunners
	SourceLogs      // of every attempt of every run that is kept
	SourceArtifacts // that have not expired
	SourceCaches    // names; their contents cannot be had
	SourceIssues    // of pull and merge requests too, with their comments
	SourceWikis
	SourceReleases // texts and files
	SourceGists    // of members, or snippets
	SourcePackages // what a registry has, by name
)

// Sets of sources.
const (
	AllSources     = SourcePackages<<1 - 1
	DefaultSources = SourceRunners<<1 - 1 // those that cost little
)

var sourceNames = [...]string{
	"history", "files", "workflows", "variables", "secrets", "settings", "runners", "logs", "artifacts", "caches", "issues", "wikis", "releases", "gists", "packages",
}

// Has tells whether any of some sources is in the set.
func (s Sources) Has(any Sources) bool { return s&any != 0 }

// Names lists the set's sources in order.
func (s Sources) Names() (names []string) {
	for i, name := range sourceNames {
		if s&(1<<i) != 0 {
			names = append(names, name)
		}
	}
	return names
}

// String is the set as ParseSources reads it.
func (s Sources) String() string { return strings.Join(s.Names(), ",") }

// ParseSources reads a comma-separated list of sources. "" are the default ones, "all" all.
func ParseSources(list string) (s Sources, err error) {
	switch list {
	case "":
		return DefaultSources, nil
	case "all":
		return AllSources, nil
	}
next:
	for field := range strings.SplitSeq(list, ",") {
		for i, name := range sourceNames {
			if strings.TrimSpace(field) == name {
				s |= 1 << i
				continue next
			}
		}
		return 0, fmt.Errorf("no source %q; there are %s", field, AllSources)
	}
	return s, nil
}
