package aws

import (
	"context"
	"errors"
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

// collectLimit ends the reading of an account, which is done once: what was read by then is what is known of it.
const collectLimit = 30 * time.Minute

// The states of a key, as far as IAM tells its account; they appear in the fact status, beside Active and Inactive.
const deleted = "deleted or never existed"

// A known is what the auditors know. It is read for the first key of their accounts, and kept in memory for the run.
type known struct {
	accounts map[string]*collection // by id; nil is one that could not be read
	holders  map[string]*holders    // of the keys of accounts that had to be searched
	world    *iam.World
	gaps     []audit.Gap
	judged   map[string]*audit.Reach // by the user's ARN; of keys of the same user there may be two
	facts    map[string]map[string]string
}

// owner asks the account that a key belongs to, by the auditor's credentials; the key itself is not used. One key is asked about at a time: accounts grant
// their requests to all who work in them, and what is read for the first key serves the others. The error is that of ctx, or wraps [audit.ErrUsage].
func (v *Verifier) owner(ctx context.Context, s *audit.Secret, verdict *audit.Verdict) error {
	select {
	case v.owning <- struct{}{}:
		defer func() { <-v.owning }()
	case <-ctx.Done():
		return ctx.Err()
	}
	nothing := func(why string) error {
		verdict.Facts["owner"] = "not asked on the owner's side: " + why
		return ctx.Err()
	}
	if kind, _ := keyKind(s.ID); kind == temporary {
		return nothing("IAM knows no temporary keys; they end within 36 hours")
	}
	limited, cancel := v.within(ctx, collectLimit)
	defer cancel()
	all, why, err := v.auditors(limited, s.ID)
	if errors.Is(err, audit.ErrUsage) {
		return err
	} else if err != nil {
		return nothing(because(limited, err))
	}
	if len(all) == 0 {
		return nothing(why)
	}
	account := ""
	if verdict.Identity != nil {
		account = verdict.Identity.Account
	} else if account, err = accountOf(limited, all[0], s.ID); err != nil {
		return nothing("sts:GetAccessKeyInfo: " + because(limited, err))
	}
	i := slices.IndexFunc(all, func(a *auditor) bool { return a.account == account })
	if i < 0 {
		why := "there are no credentials of an auditor for account " + account
		if v.foreign(limited, all, account) {
			why = "account " + account + " is not one of the auditor's organisation"
			verdict.Facts["foreign"] = why
		}
		return nothing(why)
	}
	verdict.How = string(Owner)
	verdict.Facts["account"] = account
	verdict.Identity = &audit.Identity{Account: account}
	by := "iam:GetAccessKeyLastUsed"
	user, refused := v.lastUsed(limited, all[i], s.ID, verdict)
	if refused {
		by = "iam:ListAccessKeys"
		user = v.holder(ctx, all[i], all, s.ID, verdict)
	}
	if user != "" {
		v.standing(limited, all[i], s.ID, user, verdict)
	}
	if user != "" && verdict.Validity != audit.Inactive {
		reach := v.ownerReach(ctx, all[i], all, user, verdict)
		verdict.Reach = from(s.ID, verdict.Identity.ARN, by, reach)
	}
	return ctx.Err()
}

// accountOf asks for the account of a key id that does not carry it.
func accountOf(ctx context.Context, a *auditor, id string) (string, error) {
	out, err := a.sts.GetAccessKeyInfo(ctx, &sts.GetAccessKeyInfoInput{AccessKeyId: &id})
	if err == nil && !accountShape().MatchString(text(out.Account)) {
		err = errEmpty
	}
	if err != nil {
		return "", err
	}
	return text(out.Account), nil
}

// foreign tells whether an auditor's organisation says that an account is none of its own. Where none may tell, it is not known, and so is not foreign.
func (v *Verifier) foreign(ctx context.Context, all []*auditor, account string) bool {
	if is, asked := v.foreigners[account]; asked {
		return is
	}
	denied := 0
	for _, a := range all {
		_, err := a.organizations.DescribeAccount(ctx, &organizations.DescribeAccountInput{AccountId: &account})
		switch {
		case ctx.Err() != nil:
			return false
		case err == nil:
			v.foreigners[account] = false
			return false
		case codeOf(err) == (&orgtypes.AccountNotFoundException{}).ErrorCode():
			denied++
		}
	}
	v.foreigners[account] = denied > 0
	return denied > 0
}

// lastUsed learns whose a key is, and when it was used. user is "" where that is not told; refused is that it might have been.
func (v *Verifier) lastUsed(ctx context.Context, a *auditor, id string, verdict *audit.Verdict) (user string, refused bool) {
	used, err := a.iam.GetAccessKeyLastUsed(ctx, &awsiam.GetAccessKeyLastUsedInput{AccessKeyId: &id})
	if err == nil && text(used.UserName) == "" {
		err = errEmpty
	}
	switch {
	case codeOf(err) == "NoSuchEntity": // which the service answered once, and other servers do
		gone(verdict, "the account does not know the key id (iam:GetAccessKeyLastUsed: NoSuchEntity)")
		return "", false
	case err != nil:
		unsettled(ctx, verdict, "iam:GetAccessKeyLastUsed", err)
		return "", strings.HasPrefix(codeOf(err), "AccessDenied")
	}
	user = text(used.UserName)
	verdict.Facts["key_last_used"] = "never"
	if last := used.AccessKeyLastUsed; last != nil && last.LastUsedDate != nil {
		verdict.Facts["key_last_used"] = last.LastUsedDate.UTC().Format(time.RFC3339)
		for fact, value := range map[string]*string{"key_last_used_service": last.ServiceName, "key_last_used_region": last.Region} {
			if text(value) != "" && text(value) != "N/A" {
				verdict.Facts[fact] = oneLine(text(value))
			}
		}
	}
	return user, false
}

func unsettled(ctx context.Context, verdict *audit.Verdict, op string, err error) {
	verdict.Validity, verdict.Error = audit.Unknown, op+": "+because(ctx, err)
}

func gone(verdict *audit.Verdict, why string) {
	verdict.Validity, verdict.Error = audit.Inactive, ""
	verdict.Facts["status"], verdict.Facts["reason"] = deleted, why
}

// holders are the users of an account that have access keys.
type holders struct {
	byKey map[string]string
	users int    // that were asked for theirs
	why   string // a key that none of them has may be somebody's all the same
}

// holder looks for a key among those of all users of its account. GetAccessKeyLastUsed names no error for a key that is not there, see
// https://docs.aws.amazon.com/IAM/latest/APIReference/API_GetAccessKeyLastUsed.html, and the service then denies access as it does to whoever may not ask.
func (v *Verifier) holder(ctx context.Context, a *auditor, all []*auditor, id string, verdict *audit.Verdict) (user string) {
	k := v.know(ctx, all)
	h := k.holders[a.account]
	if h == nil {
		limited, cancel := v.within(ctx, collectLimit)
		defer cancel()
		h = v.holders(limited, a, k.accounts[a.account])
		if ctx.Err() == nil {
			k.holders[a.account] = h
		}
	}
	user = h.byKey[id]
	switch {
	case user != "":
	case h.why == "":
		gone(verdict, fmt.Sprintf("neither the account's root user nor any of its %d users has the key (iam:GetAccountSummary, iam:ListAccessKeys); iam:GetAccessKeyLastUsed is denied for a key that is not there", h.users))
	default:
		verdict.Error += "; whether some user has the key is not known: " + h.why
	}
	return user
}

// holders asks all users of an account for the ids of their keys.
func (v *Verifier) holders(ctx context.Context, a *auditor, c *collection) *holders {
	h := &holders{byKey: map[string]string{}}
	if c == nil || c.cut != "" {
		h.why = "the account's users could not all be read"
		return h
	}
	out, err := a.iam.GetAccountSummary(ctx, nil)
	if err == nil {
		if n, told := out.SummaryMap[string(types.SummaryKeyTypeAccountAccessKeysPresent)]; !told {
			err = errEmpty
		} else if n > 0 {
			h.why = "it may be the root user's, who has one (iam:GetAccountSummary)"
		}
	}
	if err != nil {
		h.why = "iam:GetAccountSummary: " + because(ctx, err)
	}
	for _, u := range c.account.Users {
		name := nameOf(u.ARN)
		err := v.patiently(ctx, func() error {
			return pages(func(marker *string) (*string, bool, error) {
				out, err := a.iam.ListAccessKeys(ctx, &awsiam.ListAccessKeysInput{UserName: &name, Marker: marker})
				if err != nil {
					return nil, false, err
				}
				if len(out.AccessKeyMetadata) > maxElements { // a user has two at most
					return nil, false, errEndless
				}
				for _, key := range out.AccessKeyMetadata {
					h.byKey[text(key.AccessKeyId)] = name
				}
				return out.Marker, out.IsTruncated, nil
			})
		})
		if err != nil && codeOf(err) != "NoSuchEntity" { // who was deleted since has none
			h.why = fmt.Sprintf("iam:ListAccessKeys, after %d of %d users: %s", h.users, len(c.account.Users), because(ctx, err))
			return h
		}
		h.users++
	}
	return h
}

// standing learns whether a user's key is active.
func (v *Verifier) standing(ctx context.Context, a *auditor, id, user string, verdict *audit.Verdict) {
	verdict.Facts["user"] = oneLine(user)
	status, err := keys(ctx, a.iam, user, id, verdict.Facts)
	switch {
	case err != nil:
		unsettled(ctx, verdict, "iam:ListAccessKeys", err)
	case status == "":
		gone(verdict, "the account does not know the key id (iam:ListAccessKeys does not list it)")
	case status == types.StatusTypeInactive:
		verdict.Validity = audit.Inactive
		if out, err := a.iam.GetUser(ctx, &awsiam.GetUserInput{UserName: &user}); err == nil && out.User != nil && isARN(text(out.User.Arn)) {
			verdict.Identity = &audit.Identity{ARN: text(out.User.Arn), Account: a.account, Type: "user"} // else it is known by its name
		}
		verdict.Facts["reason"] = "the key is deactivated (iam:ListAccessKeys)"
	case status == types.StatusTypeActive:
		verdict.Validity = audit.Active
	default:
		unsettled(ctx, verdict, "iam:ListAccessKeys", fmt.Errorf("%w: the status is none that is known", errEmpty))
	}
}

// know reads the accounts of all auditors, each once: what an identity opens may lie in another one. What ends with a limit is known as far as it was read.
func (v *Verifier) know(ctx context.Context, all []*auditor) *known {
	if v.known == nil {
		v.known = &known{accounts: map[string]*collection{}, holders: map[string]*holders{}, judged: map[string]*audit.Reach{}, facts: map[string]map[string]string{}}
	}
	k, more := v.known, false
	for _, a := range all {
		if _, done := k.accounts[a.account]; done {
			continue
		}
		limited, cancel := v.within(ctx, collectLimit)
		c, err := v.collect(limited, a, all)
		cancel()
		if ctx.Err() != nil {
			return k // nobody waits for it
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
	return k
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
func (v *Verifier) ownerReach(ctx context.Context, a *auditor, all []*auditor, user string, verdict *audit.Verdict) *audit.Reach {
	k := v.know(ctx, all)
	limited, cancel := v.within(ctx, v.opts.TimeLimit)
	defer cancel()
	who := principal{Identity: audit.Identity{Account: a.account, Type: "user"}, name: user}
	c := k.accounts[a.account]
	if c != nil {
		for _, u := range c.account.Users {
			if nameOf(u.ARN) == user && isARN(u.ARN) {
				who.ARN, who.source = u.ARN, u.ARN
			}
		}
	}
	if who.ARN == "" {
		return v.ownerSelf(limited, a, who, k.gaps, verdict)
	}
	verdict.Identity = &who.Identity
	if k.judged[who.ARN] == nil {
		facts := map[string]string{}
		sim := v.simulate(limited, a.iam, who)
		if ctx.Err() != nil {
			return unknownReach(who, "nobody waited for an answer")
		}
		j := &judgement{who: who, at: c, others: k.others(a.account), world: k.world, sim: sim, gaps: k.gaps, facts: facts, now: v.env.Now()}
		k.judged[who.ARN], k.facts[who.ARN] = j.reach(), facts
	}
	for name, fact := range k.facts[who.ARN] {
		verdict.Facts[name] = fact
	}
	return k.judged[who.ARN]
}

// ownerSelf is ownerReach where the account's details cannot be read: what can be read of the user alone.
func (v *Verifier) ownerSelf(ctx context.Context, a *auditor, who principal, gaps []audit.Gap, verdict *audit.Verdict) *audit.Reach {
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
	if who.ARN == "" {
		verdict.Identity = &who.Identity
		out := unknownReach(who, "what the user may do could not be read: "+r.why())
		for _, g := range gaps {
			out.Limits = append(out.Limits, gapText(g))
		}
		return out
	}
	who.complete()
	verdict.Identity = &who.Identity
	r.principal(ctx, &who)
	reach, err := r.reach(who, v.simulate(ctx, a.iam, who), nil, gaps, v.env.Now())
	if err != nil {
		reach = unknownReach(who, "what was read of the user is not understood")
	}
	return reach
}
