package awstest

import (
	"encoding/json"
	"net/http"
	"slices"
	"strings"
)

// An Organization is what the accounts of a server are in.
type Organization struct {
	Manager   string              // the account that manages it, and is told of policies
	Parents   map[string]string   // of accounts and units: a unit, or the root, which begins with r-
	Attached  map[string][]string // names of policies by root, unit or account; the names of RCPs begin with "rcp"
	Documents map[string]string   // by name
}

// levels are the service control policies that bind the account.
func (a Account) levels() (all [][]string) {
	if len(a.SCPs) > 0 {
		all = append(all, a.SCPs)
	}
	o := a.Organization
	if o == nil || o.Manager == a.ID {
		return all
	}
	for at := a.ID; at != ""; at = o.Parents[at] {
		var level []string
		for _, name := range o.Attached[at] {
			if !strings.HasPrefix(name, "rcp") {
				level = append(level, o.Documents[name])
			}
		}
		all = append(all, level)
	}
	return all
}

// organizations answers the JSON protocol of AWS Organizations.
func (s *Server) organizations(req Request) (any, *failure) {
	input := req.Input
	o := s.account.Organization
	if o == nil && len(s.account.SCPs) == 0 {
		return nil, &failure{400, "AWSOrganizationsNotInUseException", "Your account is not a member of an organization."}
	}
	if o == nil || req.Action != "DescribeOrganization" && o.Manager != s.account.ID {
		return nil, &failure{400, "AccessDeniedException", "You don't have permissions to access this resource."}
	}
	type object map[string]any
	switch req.Action {
	case "DescribeOrganization":
		return object{"Organization": object{"Id": "o-exampleorgid", "FeatureSet": "ALL", "MasterAccountId": o.Manager}}, nil
	case "DescribeAccount":
		if _, ok := o.Parents[input["AccountId"]]; !ok {
			return nil, &failure{400, "AccountNotFoundException", "You specified an account that doesn't exist."}
		}
		return object{"Account": object{"Id": input["AccountId"], "Status": "ACTIVE"}}, nil
	case "ListParents":
		parent, ok := o.Parents[input["ChildId"]]
		if !ok {
			return nil, &failure{400, "ChildNotFoundException", "You specified a child that doesn't exist."}
		}
		kind := "ORGANIZATIONAL_UNIT"
		if parent[:2] == "r-" {
			kind = "ROOT"
		}
		return object{"Parents": []object{{"Id": parent, "Type": kind}}}, nil
	case "ListPoliciesForTarget":
		list := []object{}
		for _, name := range o.Attached[input["TargetId"]] {
			if (strings.HasPrefix(name, "rcp")) == (input["Filter"] == "RESOURCE_CONTROL_POLICY") {
				list = append(list, object{"Id": "p-" + name, "Name": name, "Type": input["Filter"]})
			}
		}
		return object{"Policies": list}, nil
	case "DescribePolicy":
		name := input["PolicyId"][2:]
		doc, ok := o.Documents[name]
		if !ok {
			return nil, &failure{400, "PolicyNotFoundException", "We can't find a policy with the PolicyId that you specified."}
		}
		return object{"Policy": object{"PolicySummary": object{"Id": "p-" + name, "Name": name}, "Content": doc}}, nil
	}
	return nil, &failure{400, "UnknownOperationException", "unknown operation " + req.Action}
}

// isOrganizations tells whether a request is in the protocol of Organizations, and reads it.
func isOrganizations(r *http.Request, body []byte) (action string, input map[string]string, ok bool) {
	const prefix = "AWSOrganizationsV20161128."
	target := r.Header.Get("X-Amz-Target")
	if len(target) <= len(prefix) || target[:len(prefix)] != prefix {
		return "", nil, false
	}
	input = map[string]string{}
	var raw map[string]any
	if json.Unmarshal(body, &raw) == nil {
		for k, v := range raw {
			if text, ok := v.(string); ok {
				input[k] = text
			}
		}
	}
	return target[len(prefix):], input, true
}

func writeJSON(w http.ResponseWriter, result any, f *failure) {
	w.Header().Set("Content-Type", "application/x-amz-json-1.1")
	if f != nil {
		w.WriteHeader(f.status)
		result = map[string]string{"__type": f.code, "Message": f.message}
	}
	_ = json.NewEncoder(w).Encode(result)
}

// denies tells whether the policies of whoever asks keep it from an action.
func (s *Server) denies(key Key, action string) bool {
	return !key.Root && !s.Free && s.evaluate(s.sourceARN(key), action, "*", nil).decision != allowed
}

// at is the server as the account that a key belongs to sees it.
func (s *Server) at(key string) *Server {
	i := slices.IndexFunc(s.accounts, func(a Account) bool { _, ok := a.Keys[key]; return ok })
	return &Server{account: s.accounts[max(i, 0)], PageSize: s.PageSize, Free: s.Free}
}
