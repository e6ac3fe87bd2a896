package aws

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/iam"
)

// A judgement puts together what policies say of an identity and what AWS' simulator does.
type judgement struct {
	who    principal
	at     *collection    // its account
	others []*iam.Account // that were read
	world  *iam.World     // all of them; nil to make one
	sim    *simulation
	gaps   []audit.Gap
	facts  map[string]string
	now    time.Time
}

// maxLimits is how many limits are told of an identity.
const maxLimits = 100

// reach evaluates. Where the policies of the organisation are unread, what the simulator says that they deny is denied.
func (j *judgement) reach() *audit.Reach {
	account := j.at.account
	supposed := ""
	if deny := j.sim.organisation(); deny != "" && !account.Organisation {
		again, err := iam.ParseAccount(account.ID, j.at.doc)
		if policy, err2 := parse("organisation policies, by iam:SimulatePrincipalPolicy", &deny); err == nil && err2 == nil {
			again.SCPs, again.Supposed = [][]*iam.Policy{{policy}}, account.Supposed
			account, j.world = again, nil
			supposed = "policies of the organisation are known by simulation of the sentinel actions alone"
		}
	}
	if j.world == nil {
		j.world = iam.NewWorld(append(slices.Clone(j.others), account), j.now)
	}
	id := j.world.Find(j.who.source)
	if id == nil {
		return unknownReach(j.who, "the identity is not among those that the account told of")
	}
	found := j.world.Reach(id)
	out := &audit.Reach{Level: audit.Level(found.Level.String()), Accounts: found.Accounts, Paths: []audit.Path{}, Limits: []string{}}
	if len(out.Accounts) == 0 {
		out.Accounts = []string{j.who.Account}
	}
	if len(found.Steps) > 0 {
		p := audit.Path{Level: out.Level}
		for _, s := range found.Steps {
			p.Steps = append(p.Steps, audit.Step{From: oneLine(s.From), To: oneLine(s.To), Edge: s.Edge, Evidence: fit(s.Proof(), 1000)})
		}
		out.Paths = append(out.Paths, p)
	}
	limit := func(format string, args ...any) {
		if text := fit(fmt.Sprintf(format, args...), 1000); text != "" && len(out.Limits) < maxLimits && !slices.Contains(out.Limits, text) {
			out.Limits = append(out.Limits, text)
		}
		if len(out.Limits) == maxLimits {
			out.Limits = append(out.Limits, fmt.Sprintf("there are more than %d limits", maxLimits))
		}
	}
	if j.at.part && out.Level == audit.LevelNone { // what was not read may name it
		out.Level = audit.LevelUnknown
	}
	for _, text := range found.Limits {
		limit("%s", text)
	}
	for _, g := range j.gaps {
		limit("%s", gapText(g))
	}
	limit("%s", supposed)
	j.compare(id, limit)
	return out
}

func gapText(g audit.Gap) string {
	return strings.TrimPrefix(g.Target, "aws:") + ": " + g.What + ": " + g.Why
}

// compare sets own answers against the simulator's, action by action. The simulator knows nothing of resource control policies, nor of resource policies, such
// as the trust of roles.
func (j *judgement) compare(id *iam.Identity, limit func(string, ...any)) {
	if !j.sim.asked {
		limit("no second opinion of AWS: iam:SimulatePrincipalPolicy: %s", j.sim.why)
		return
	}
	count := map[iam.State]int{}
	var apart []string
	compare := func(action, resource string, theirs decision) {
		ours := j.world.Ask(id, action, resource)
		if action != "sts:AssumeRole" && ours.State != iam.Undecided && theirs.state != iam.Undecided && ours.State != theirs.state && ours.Layer != iam.LayerRCP {
			apart = append(apart, fmt.Sprintf("%s on %s is %s here and %s there", action, resource, ours.State, theirs.state))
		}
	}
	for _, s := range sentinels {
		theirs, answered := j.sim.all[s.Action]
		if !answered {
			theirs = decision{state: iam.Undecided, missing: []string{"an answer"}}
		}
		count[theirs.state]++
		compare(s.Action, "*", theirs)
		if self, asked := j.sim.self[s.Action]; asked {
			compare(s.Action, j.who.source, self)
		}
	}
	agreed := "in agreement"
	if len(apart) > 0 {
		agreed = fmt.Sprintf("%d in disagreement", len(apart))
		limit("iam:SimulatePrincipalPolicy does not agree: %s", strings.Join(apart[:min(len(apart), 5)], "; "))
	}
	j.facts["sentinels"] = fmt.Sprintf("%d actions simulated: %d allowed on every resource, %d undecided; %s",
		len(sentinels), count[iam.Allowed], count[iam.Undecided], agreed)
	if keys := j.sim.missing(); len(keys) > 0 {
		limit("%d sentinel actions are undecided by simulation, for want of %s", count[iam.Undecided], strings.Join(keys[:min(len(keys), 4)], ", "))
	}
	if j.sim.part != "" {
		limit("iam:SimulatePrincipalPolicy on the identity itself: %s", j.sim.part)
	}
}

// from puts the key before the ways of its identity.
func from(keyID, arn, evidence string, reach *audit.Reach) *audit.Reach {
	out := *reach
	out.Paths = []audit.Path{}
	for _, p := range reach.Paths {
		first := audit.Step{From: keyID, To: arn, Edge: "is", Evidence: evidence}
		out.Paths = append(out.Paths, audit.Path{Level: p.Level, Steps: append([]audit.Step{first}, p.Steps...)})
	}
	out.Accounts, out.Limits = slices.Clone(reach.Accounts), slices.Clone(reach.Limits)
	return &out
}

// someone stands for the administrators of an account whose identities cannot be read: every account has some.
const someone = "some-administrator"

// reach judges an identity by what could be read of it alone. What could not be read is replaced by what the simulator allows. organisation has what is known
// of the account's; nil is where nobody was asked.
func (r *reader) reach(who principal, sim *simulation, organisation *iam.Account, gaps []audit.Gap, now time.Time) (*audit.Reach, error) {
	readable := r.read > len(r.unread) || r.whole() || len(r.details.attachments()) > 0
	if !readable && !sim.asked {
		out := unknownReach(who, "nothing about the identity's rights is readable: "+r.why())
		out.Limits = append(out.Limits, "iam:SimulatePrincipalPolicy: "+sim.why)
		return out, nil
	}
	whole := r.whole()
	if sim.asked && !whole {
		r.simulated(who, sim)
	}
	r.details.suppose(who.Account)
	account, doc, err := r.details.account(who.Account)
	if err != nil {
		return nil, err
	}
	account.Supposed = true // a function that runs as a supposed role would be supposed, too
	if organisation != nil {
		account.Organisation, account.Management, account.SCPs, account.RCPs = organisation.Organisation, organisation.Management, organisation.SCPs, organisation.RCPs
	}
	j := &judgement{who: who, at: &collection{account: account, doc: doc}, sim: sim, gaps: gaps, facts: r.facts, now: now}
	out := j.reach()
	limit := func(format string, args ...any) {
		out.Limits = append(out.Limits, fit(fmt.Sprintf(format, args...), 1000))
	}
	if slices.ContainsFunc(out.Paths, func(p audit.Path) bool {
		return slices.ContainsFunc(p.Steps, func(s audit.Step) bool { return strings.Contains(s.To, someone) })
	}) {
		limit("%s is supposed: the account's identities could not be read, and every account has an administrator", someone)
	}
	if !whole {
		switch {
		case !r.identity && !sim.asked:
			limit("whether a permissions boundary is attached could not be read: an upper bound")
		case !r.identity:
			limit("the level is what iam:SimulatePrincipalPolicy allows of the sentinel actions: a lower bound")
		}
		if len(r.unread) > 0 {
			limit("policies that could not be read: %s", strings.Join(r.unread[:min(len(r.unread), 5)], ", "))
		}
		if r.groups > maxGroups {
			limit("%d of %d groups were read", maxGroups, r.groups)
		}
		if why := r.why(); why != "" {
			limit("not readable: %s", why)
		}
		if out.Level == audit.LevelNone {
			out.Level = audit.LevelUnknown
		}
	}
	if who.session {
		limit("%s", sessionLimit)
	}
	if out.Level != audit.LevelAdmin {
		limit("the account's other identities are not read: which roles it may assume or pass, and what those may do, is not in the level, a lower bound")
	}
	return out, nil
}

func (d *details) attachments() (all []types.AttachedPolicy) {
	for _, u := range d.UserDetailList {
		all = append(all, u.AttachedManagedPolicies...)
	}
	for _, g := range d.GroupDetailList {
		all = append(all, g.AttachedManagedPolicies...)
	}
	for _, r := range d.RoleDetailList {
		all = append(all, r.AttachedManagedPolicies...)
	}
	return all
}

// simulated adds what the simulator allows to the policies that were read. Where it is not known which boundary the identity has, it is all there is: the
// simulator knows the boundary.
func (r *reader) simulated(who principal, sim *simulation) {
	var grants []types.PolicyDetail
	if doc := sim.grants(who); doc != "" {
		grants = []types.PolicyDetail{{PolicyName: aws.String("iam:SimulatePrincipalPolicy"), PolicyDocument: &doc}}
	}
	unbounded := func(b *types.AttachedPermissionsBoundary) bool {
		return !r.identity || b != nil && slices.Contains(r.unread, oneLine(text(b.PermissionsBoundaryArn)))
	}
	for i := range r.details.UserDetailList {
		u := &r.details.UserDetailList[i]
		if unbounded(u.PermissionsBoundary) {
			u.PermissionsBoundary, u.UserPolicyList, u.AttachedManagedPolicies, u.GroupList = nil, nil, nil, nil
		}
		u.UserPolicyList = append(u.UserPolicyList, grants...)
	}
	for i := range r.details.RoleDetailList {
		role := &r.details.RoleDetailList[i]
		if unbounded(role.PermissionsBoundary) {
			role.PermissionsBoundary, role.RolePolicyList, role.AttachedManagedPolicies = nil, nil, nil
		}
		role.RolePolicyList = append(role.RolePolicyList, grants...)
	}
}

// suppose adds a user, a group and a role who may everything; the role is for services.
func (d *details) suppose(account string) {
	arn := func(kind string) *string { return aws.String("arn:aws:iam::" + account + ":" + kind + "/" + someone) }
	admin := []types.PolicyDetail{{PolicyName: aws.String("all"), PolicyDocument: aws.String(document(statement{"Allow", []string{"*"}, []string{"*"}}))}}
	trust := `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Principal":{"Service":"*"},"Action":"sts:AssumeRole"}}`
	d.UserDetailList = append(d.UserDetailList, types.UserDetail{Arn: arn("user"), UserPolicyList: admin})
	d.GroupDetailList = append(d.GroupDetailList, types.GroupDetail{Arn: arn("group"), GroupName: aws.String(someone), GroupPolicyList: admin})
	d.RoleDetailList = append(d.RoleDetailList, types.RoleDetail{Arn: arn("role"), RolePolicyList: admin, AssumeRolePolicyDocument: &trust})
}

func unknownReach(who principal, why string) *audit.Reach {
	r := &audit.Reach{Level: audit.LevelUnknown, Accounts: []string{}, Paths: []audit.Path{}, Limits: []string{why}}
	if who.Account != "" {
		r.Accounts = []string{who.Account}
	}
	return r
}

// rootReach needs no question: no IAM policy binds an account's root user.
func rootReach(keyID string, who principal) *audit.Reach {
	return &audit.Reach{
		Level:    audit.LevelAdmin,
		Accounts: []string{who.Account},
		Paths: []audit.Path{{Level: audit.LevelAdmin, Steps: []audit.Step{
			{From: keyID, To: who.ARN, Edge: "is", Evidence: "sts:GetCallerIdentity"},
			{From: who.ARN, To: "every action on every resource", Edge: "may", Evidence: "root user of the account: no IAM policy limits it"},
		}}},
		Limits: []string{"in a member account of an organisation a service control policy may limit the root user; those were not read"},
	}
}
