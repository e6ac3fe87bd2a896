package iam

import (
	"encoding/json"
	"fmt"
	"time"
)

// ParseProviders reads which audiences the OpenID Connect providers of accounts take: {"ARN": what "aws iam get-open-id-connect-provider" prints for it, or null
// where there is none}, see https://docs.aws.amazon.com/IAM/latest/APIReference/API_GetOpenIDConnectProvider.html.
func ParseProviders(doc []byte, accounts []*Account) error {
	var in map[string]*struct{ ClientIDList []string }
	if err := json.Unmarshal(doc, &in); err != nil {
		return fmt.Errorf("reading OpenID Connect providers: %w", err)
	}
	audiences := map[string][]string{}
	for arn, p := range in {
		audiences[arn] = nil
		if p != nil {
			audiences[arn] = append([]string{}, p.ClientIDList...)
		}
	}
	for _, a := range accounts {
		a.Audiences = audiences
	}
	return nil
}

// ParseRoles reads how long sessions of roles may be, which the authorization details do not tell: what "aws iam list-roles" prints, see
// https://docs.aws.amazon.com/IAM/latest/APIReference/API_Role.html. Those of several accounts are in one list.
func ParseRoles(doc []byte, accounts []*Account) error {
	var in struct {
		Roles []struct {
			Arn                string
			MaxSessionDuration int64 // seconds
		}
	}
	if err := json.Unmarshal(doc, &in); err != nil {
		return fmt.Errorf("reading roles: %w", err)
	}
	sessions := map[string]time.Duration{}
	for _, r := range in.Roles {
		if r.MaxSessionDuration > 0 && r.MaxSessionDuration <= maxSession {
			sessions[r.Arn] = time.Duration(r.MaxSessionDuration) * time.Second
		}
	}
	for _, a := range accounts {
		for _, r := range a.Roles {
			r.Session = sessions[r.ARN]
		}
	}
	return nil
}

// maxSession is the longest that AWS lets a role's sessions be: 12 hours, in seconds.
const maxSession = 12 * 60 * 60
