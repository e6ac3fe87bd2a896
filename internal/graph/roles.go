package graph

import (
	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/iam"
)

// maxRoles bounds what jobs can become: of a role that lets an organisation in there are as many ways as it has jobs.
const maxRoles = 100_000

// Roles are those of a world that jobs can become by their own identity, as entries of the inventory of the jobs' targets: one for each job and role. docs/inventory.md has
// their facts. They are a part where there are more than are listed.
func (a *Access) Roles(w *iam.World) (entries []audit.Entry, whole bool) {
	mints := a.Mints()
	if len(mints) == 0 {
		return nil, true
	}
	var g Graph
	for _, role := range w.Identities() {
		at := map[string]int{} // of the role's entries, by job
		for _, f := range w.Federations(role) {
			in, _ := g.Federate(w, &f, mints)
			for i := range in {
				job := JobID(in[i].Target, in[i].Job)
				old, seen := at[job]
				switch {
				case !seen && len(entries) == maxRoles:
					return entries, false
				case !seen:
					at[job] = len(entries)
					entries = append(entries, in[i].entry(role, w.Reach(role)))
				case in[i].Unsure == "" && entries[old].Facts["unsure"] != "":
					entries[old] = in[i].entry(role, w.Reach(role))
				}
			}
		}
	}
	return entries, true
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
	if f.Unsure != "" {
		e.Facts["unsure"] = f.Unsure
	}
	return e
}
