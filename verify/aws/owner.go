package aws

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	awsiam "github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"
	"github.com/aws/aws-sdk-go-v2/service/organizations"
	orgtypes "github.com/aws/aws-sdk-go-v2/service/organizations/types"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/iam"
)

// collectLimit ends the reading of all accounts, which is done once.
const collectLimit = 30 * time.Minute

// The states of a key, as far as IAM tells its account; they appear in the fact status, beside Active and Inactive.
const deleted = "deleted or never existed"

// A known is what the auditors know. It is read for the first key of their accounts, and kept in memory for the run.
type known struct {
	accounts map[string]*collection
	world    *iam.World
	gaps     []audit.Gap
	judged   map[string]*audit.Reach // by the user's ARN; of keys of the same user there may be two
	facts    map[string]map[string]string
}

// owner asks the account that a key belongs to, by the auditor's credentials; the key itself is not used. One key is asked about at a time: accounts grant
// their requests to all who work in them, and what is read for the first key serves the others.
func (v *Verifier) owner(ctx context.Context, s *audit.Secret, verdict *audit.Verdict) error {
	select {
	case v.owning <- struct{}{}:
		defer func() { <-v.owning }()
	case <-ctx.Done():
		return ctx.Err()
	}
	ctx, cancel := context.WithTimeout(ctx, collectLimit)
	defer cancel()
	nothing := func(why string) error {
		verdict.Facts["owner"] = "not asked on the owner's side: " + why
		return nil
	}
	if kind, _ := keyKind(s.ID); kind == temporary {
		return nothing("IAM knows no temporary keys; they end within 36 hours")
	}
	all, why, err := v.auditors(ctx, s.ID)
	if err != nil {
		return err
	}
	if len(all) == 0 {
		return nothing(why)
	}
	account := ""
	if verdict.Identity != nil {
		account = verdict.Identity.Account
	} else if account, err = accountOf(ctx, all[0], s.ID); err != nil {
		return nothing("sts:GetAccessKeyInfo: " + because(ctx, err))
	}
	i := slices.IndexFunc(all, func(a *auditor) bool { return a.account == account })
	if i < 0 {
		why := "there are no credentials of an auditor for account " + account
		if foreign, err := v.foreign(ctx, all, account); err != nil {
			return err
		} else if foreign {
			why = "account " + account + " is not one of the auditor's organisation"
			verdict.Facts["foreign"] = why
		}
		return nothing(why)
	}
	verdict.How = string(Owner)
	verdict.Facts["account"] = account
	verdict.Identity = &audit.Identity{Account: account}
	user, err := v.status(ctx, all[i], s.ID, verdict)
	if err != nil || user == "" || verdict.Validity == audit.Inactive {
		return err
	}
	return v.ownerReach(ctx, all[i], all, s.ID, user, verdict)
}

// accountOf asks for the account of a key id that does not carry it.
func accountOf(ctx context.Context, a *auditor, id string) (string, error) {
	out, err := a.sts.GetAccessKeyInfo(ctx, &sts.GetAccessKeyInfoInput{AccessKeyId: &id})
	if err == nil && !accountShape.MatchString(text(out.Account)) {
		err = errEmpty
	}
	if err != nil {
		return "", err
	}
	return text(out.Account), nil
}

// foreign tells whether an auditor's organisation says that an account is none of its own. Where none may tell, it is not known, and so is not foreign.
func (v *Verifier) foreign(ctx context.Context, all []*auditor, account string) (bool, error) {
	if is, asked := v.foreigners[account]; asked {
		return is, nil
	}
	denied := 0
	for _, a := range all {
		_, err := a.organizations.DescribeAccount(ctx, &organizations.DescribeAccountInput{AccountId: &account})
		switch {
		case ctx.Err() != nil:
			return false, ctx.Err()
		case err == nil:
			v.foreigners[account] = false
			return false, nil
		case codeOf(err) == (&orgtypes.AccountNotFoundException{}).ErrorCode():
			denied++
		}
	}
	v.foreigners[account] = denied > 0
	return denied > 0, nil
}

// status learns whose a key is, when it was used, and whether it is active. user is "" where nobody can tell.
func (v *Verifier) status(ctx context.Context, a *auditor, id string, verdict *audit.Verdict) (user string, err error) {
	unknown := func(op string, err error) (string, error) {
		verdict.Validity, verdict.Error = audit.Unknown, op+": "+because(ctx, err)
		return user, ctx.Err()
	}
	gone := func(op string) (string, error) {
		verdict.Validity = audit.Inactive
		verdict.Facts["status"] = deleted
		verdict.Facts["reason"] = "the account does not know the key id (" + op + ")"
		return user, nil
	}
	used, err := a.iam.GetAccessKeyLastUsed(ctx, &awsiam.GetAccessKeyLastUsedInput{AccessKeyId: &id})
	switch {
	case codeOf(err) == "NoSuchEntity":
		return gone("iam:GetAccessKeyLastUsed: NoSuchEntity")
	case err == nil && text(used.UserName) == "":
		err = errEmpty
		fallthrough
	case err != nil:
		user, err = unknown("iam:GetAccessKeyLastUsed", err)
		if verdict.Error == "iam:GetAccessKeyLastUsed: access denied" {
			verdict.Error += ", which names no policy: so answers an account that has no such key, any more"
		}
		return user, err
	}
	user = text(used.UserName)
	verdict.Facts["user"] = oneLine(user)
	verdict.Facts["key_last_used"] = "never"
	if last := used.AccessKeyLastUsed; last != nil && last.LastUsedDate != nil {
		verdict.Facts["key_last_used"] = last.LastUsedDate.UTC().Format(time.RFC3339)
		for fact, value := range map[string]*string{"key_last_used_service": last.ServiceName, "key_last_used_region": last.Region} {
			if text(value) != "" && text(value) != "N/A" {
				verdict.Facts[fact] = oneLine(text(value))
			}
		}
	}
	status, err := keys(ctx, a.iam, user, id, verdict.Facts)
	switch {
	case err != nil:
		return unknown("iam:ListAccessKeys", err)
	case status == "":
		return gone("iam:ListAccessKeys does not list it")
	case status == types.StatusTypeInactive:
		verdict.Validity = audit.Inactive
		if out, err := a.iam.GetUser(ctx, &awsiam.GetUserInput{UserName: &user}); err == nil && out.User != nil && isARN(text(out.User.Arn)) {
			verdict.Identity = &audit.Identity{ARN: text(out.User.Arn), Account: a.account, Type: "user"} // else it is known by its name
		}
		verdict.Facts["reason"] = "the key is deactivated (iam:ListAccessKeys)"
	case status == types.StatusTypeActive:
		verdict.Validity = audit.Active
	default:
		return unknown("iam:ListAccessKeys", fmt.Errorf("%w: the status is none that is known", errEmpty))
	}
	return user, nil
}

// know reads the accounts of all auditors, once: what an identity opens may lie in another one.
func (v *Verifier) know(ctx context.Context, all []*auditor) (*known, error) {
	if v.known == nil {
		v.known = &known{accounts: map[string]*collection{}, judged: map[string]*audit.Reach{}, facts: map[string]map[string]string{}}
	}
	k, more := v.known, false
	for _, a := range all {
		if _, done := k.accounts[a.account]; done {
			continue
		}
		c, err := v.collect(ctx, a, all)
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if err != nil {
			k.gaps = append(k.gaps, audit.Gap{Target: "aws:" + a.account, What: "identities and policies", Why: err.Error()})
		} else {
			k.gaps = append(k.gaps, c.gaps...)
		}
		k.accounts[a.account], more = c, true
	}
	if more {
		k.world = iam.NewWorld(k.others(""), v.env.Now())
		clear(k.judged)
	}
	return k, nil
}

// others are the accounts that were read but one.
func (k *known) others(but string) (all []*iam.Account) {
	for id, c := range k.accounts {
		if c != nil && id != but {
			all = append(all, c.account)
		}
	}
	slices.SortFunc(all, func(a, b *iam.Account) int { return strings.Compare(a.ID, b.ID) })
	return all
}

// ownerReach is what a user of an auditor's account opens.
func (v *Verifier) ownerReach(ctx context.Context, a *auditor, all []*auditor, keyID, user string, verdict *audit.Verdict) error {
	k, err := v.know(ctx, all)
	if err != nil {
		return err
	}
	who := principal{Identity: audit.Identity{Account: a.account, Type: "user"}, name: user}
	c := k.accounts[a.account]
	if c != nil {
		for _, u := range c.account.Users {
			if u.ARN[strings.LastIndexByte(u.ARN, '/')+1:] == user {
				who.ARN, who.source = u.ARN, u.ARN
			}
		}
	}
	if who.ARN == "" {
		return v.ownerSelf(ctx, a, keyID, who, k.gaps, verdict)
	}
	verdict.Identity = &who.Identity
	if k.judged[who.ARN] == nil {
		facts := map[string]string{}
		sim := v.simulate(ctx, a.iam, who)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		j := &judgement{who: who, at: c, others: k.others(a.account), world: k.world, sim: sim, gaps: k.gaps, facts: facts, now: v.env.Now()}
		k.judged[who.ARN], k.facts[who.ARN] = j.reach(), facts
	}
	for name, fact := range k.facts[who.ARN] {
		verdict.Facts[name] = fact
	}
	verdict.Reach = from(keyID, who.ARN, "iam:GetAccessKeyLastUsed", k.judged[who.ARN])
	return nil
}

// ownerSelf is ownerReach where the account's details cannot be read: what can be read of the user alone.
func (v *Verifier) ownerSelf(ctx context.Context, a *auditor, keyID string, who principal, gaps []audit.Gap, verdict *audit.Verdict) error {
	r := &reader{client: a.iam, denied: map[string]string{}, facts: verdict.Facts}
	r.call(ctx, "iam:GetUser", func() error {
		out, err := a.iam.GetUser(ctx, &awsiam.GetUserInput{UserName: &who.name})
		if err == nil && (out.User == nil || !isARN(text(out.User.Arn))) {
			err = errEmpty
		}
		if err == nil {
			who.ARN = text(out.User.Arn)
		}
		return err
	})
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if who.ARN == "" {
		verdict.Identity = &who.Identity
		verdict.Reach = unknownReach(who, "what the user may do could not be read: "+r.why())
		for _, g := range gaps {
			verdict.Reach.Limits = append(verdict.Reach.Limits, gapText(g))
		}
		return nil
	}
	who.complete()
	verdict.Identity = &who.Identity
	r.principal(ctx, &who)
	sim := v.simulate(ctx, a.iam, who)
	reach, err := r.reach(who, sim, nil, gaps, v.env.Now())
	if err != nil {
		return err
	}
	verdict.Reach = from(keyID, who.ARN, "iam:GetAccessKeyLastUsed", reach)
	return ctx.Err()
}
