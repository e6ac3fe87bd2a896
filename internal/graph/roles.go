package graph

import (
	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/iam"
)

// Roles are the ways of jobs to a role that lets them in, as entries of the inventory of the jobs' targets: one for each job, by the token that is let in most surely.
// docs/inventory.md has their facts.
func Roles(role *iam.Identity, reach iam.Reach, in []Federated) (entries []audit.Entry) {
	at := map[string]int{} // by job
	for i := range in {
		job := JobID(in[i].Target, in[i].Job)
		old, seen := at[job]
		switch {
		case !seen:
			at[job] = len(entries)
			entries = append(entries, in[i].entry(role, reach))
		case in[i].Perhaps == "" && entries[old].Facts["unsure"] != "":
			entries[old] = in[i].entry(role, reach)
		}
	}
	return entries
}

// entry is the inventory's line about a job that a role lets in.
func (f *Federated) entry(role *iam.Identity, reach iam.Reach) audit.Entry {
	scope := "repository"
	if f.Forge == iam.GitLab {
		scope = "project"
	}
	e := audit.Entry{Target: f.Target, Kind: audit.KindRole, Name: role.ARN, Scope: scope, Facts: map[string]string{
		"job": f.Job, "level": reach.Level.String(), "accounts": audit.NameList(reach.Accounts), "event": f.Event, "subject": f.Token, "who": string(f.Who), "statement": f.Evidence,
	}}
	if f.Perhaps != "" {
		e.Facts["unsure"] = f.Perhaps
	}
	return e
}
