package job

import (
	"cmp"
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strings"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/internal/lazyregexp"
)

// linkLocal is where AWS, Google and Azure have a machine's metadata.
const linkLocal = "http://169.254.169.254"

// metadata asks each cloud's service for the name of the machine's role. The credentials lie one request further, and are not asked for: whoever can
// ask for the name can have them.
func (j *job) metadata() []question {
	var all []question
	aws := cmp.Or(j.vars["AWS_EC2_METADATA_SERVICE_ENDPOINT"], linkLocal)
	if j.vars["AWS_EC2_METADATA_SERVICE_ENDPOINT"] == "" && strings.EqualFold(j.vars["AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE"], "ipv6") {
		aws = "http://[fd00:ec2::254]"
	}
	aws = strings.TrimRight(aws, "/")
	google := linkLocal
	if host := cmp.Or(j.vars["GCE_METADATA_HOST"], j.vars["GCE_METADATA_IP"]); host != "" {
		google = "http://" + host
	}
	calls := 6
	if j.yes("AWS_EC2_METADATA_DISABLED") {
		calls = 0
	}
	azure := strings.TrimRight(cmp.Or(j.vars["AZURE_POD_IDENTITY_AUTHORITY_HOST"], linkLocal), "/")
	all = append(all,
		question{func(ctx context.Context) found { return j.amazon(ctx, aws) }, hostOf(aws), calls, "AWS instance metadata: names of role and account"},
		question{func(ctx context.Context) found { return j.google(ctx, google) }, hostOf(google), 3, "Google Cloud metadata: name and scopes of the service account"},
		question{func(ctx context.Context) found { return j.azure(ctx, azure) }, hostOf(azure), 2, "Azure instance metadata: subscription, and whether there is an identity"},
	)
	return append(all, j.containers()...)
}

const apiMetadata = "metadata"

// unreachable is the entry of a service that does not answer, or is another cloud's.
func unreachable(cloud, why string) (f found) {
	f.entry(audit.KindMetadata, cloud, audit.InRunner, facts{"reachable": "false", "answer": why})
	return f
}

// refusal says why there is nothing to be had.
func refusal(a answer, err error) string {
	if err != nil {
		return cause(err)
	}
	return cmp.Or(http.StatusText(a.status), "an unknown answer")
}

// amazon reads EC2's metadata: version 2 needs a token that is asked for by PUT, version 1 none.
func (j *job) amazon(ctx context.Context, base string) (f found) {
	if j.yes("AWS_EC2_METADATA_DISABLED") {
		f.gap("AWS instance metadata", "AWS_EC2_METADATA_DISABLED is set, so it was not asked; other programs may ask")
		return f
	}
	client := j.direct()
	bare := make(chan answer, 1)
	go func() {
		a, _ := j.ask(ctx, client, apiMetadata, http.MethodGet, base+"/latest/meta-data/", nil)
		bare <- a
	}()
	token, err := j.ask(ctx, client, apiMetadata, http.MethodPut, base+"/latest/api/token", map[string]string{"X-aws-ec2-metadata-token-ttl-seconds": "60"})
	one := <-bare
	v1 := lists(one)
	var header map[string]string
	get := func(path string) answer {
		a, _ := j.ask(ctx, client, apiMetadata, http.MethodGet, base+"/latest/"+path, header)
		return a
	}
	v2 := token.ok() && metadataToken().MatchString(token.text())
	if v2 {
		header = map[string]string{"X-aws-ec2-metadata-token": token.text()}
		if v2 = lists(get("meta-data/")); !v2 {
			header = nil
		}
	}
	if !v1 && !v2 {
		return unreachable("aws", refusal(token, err))
	}
	var profile struct {
		ARN string `json:"InstanceProfileArn"`
	}
	var machine struct {
		Account string `json:"accountId"`
		Region  string `json:"region"`
	}
	role := get("meta-data/iam/security-credentials/")
	_ = json.Unmarshal(get("meta-data/iam/info").body, &profile)                 // a machine without a role has none
	_ = json.Unmarshal(get("dynamic/instance-identity/document").body, &machine) // nor have its likenesses
	f.entry(audit.KindMetadata, "aws", audit.InRunner, facts{
		"reachable": "true", "v1": yesNo(v1), "v2": yesNo(v2), "role": audit.NameList(roleNames(role)), "instance_profile": profile.ARN,
		"account": machine.Account, "region": machine.Region,
	})
	return f
}

// metadataToken is like one that the service hands out: base64. What answers everything, such as a proxy's page, does not.
var metadataToken = lazyregexp.New(`^[A-Za-z0-9+/_=-]+$`)

// lists tells whether an answer is the list of what there is to know of a machine.
func lists(a answer) bool {
	return a.ok() && slices.Contains(strings.Fields(string(a.body)), "instance-id")
}

// roleName is what IAM takes for one, see https://docs.aws.amazon.com/IAM/latest/APIReference/API_CreateRole.html.
var roleName = lazyregexp.New(`^[\w+=,.@-]{1,64}$`)

func roleNames(a answer) (names []string) {
	if a.ok() {
		names = slices.DeleteFunc(strings.Fields(a.text()), func(name string) bool { return !roleName().MatchString(name) })
	}
	return names
}

func (j *job) google(ctx context.Context, base string) (f found) {
	client := j.direct()
	get := func(path string) (answer, error) {
		return j.ask(ctx, client, apiMetadata, http.MethodGet, base+"/computeMetadata/v1/"+path, map[string]string{"Metadata-Flavor": "Google"})
	}
	project, err := get("project/project-id")
	if !project.ok() || project.header.Get("Metadata-Flavor") != "Google" {
		return unreachable("gcp", refusal(project, err))
	}
	account, _ := get("instance/service-accounts/default/email")
	scopes, _ := get("instance/service-accounts/default/scopes")
	f.entry(audit.KindMetadata, "gcp", audit.InRunner, facts{
		"reachable": "true", "role": account.text(), "scopes": audit.NameList(strings.Fields(scopes.text())), "account": project.text(),
	})
	return f
}

func (j *job) azure(ctx context.Context, base string) (f found) {
	client := j.direct()
	get := func(path string) (answer, error) {
		return j.ask(ctx, client, apiMetadata, http.MethodGet, base+"/metadata/"+path, map[string]string{"Metadata": "true"})
	}
	machine, err := get("instance/compute?api-version=2021-02-01")
	var compute struct {
		Name         string `json:"name"`
		Subscription string `json:"subscriptionId"`
	}
	if !machine.ok() || json.Unmarshal(machine.body, &compute) != nil || compute.Subscription == "" {
		return unreachable("azure", refusal(machine, err))
	}
	identity, _ := get("identity/info?api-version=2018-02-01")
	var of struct {
		Tenant string `json:"tenantId"`
	}
	all := facts{"reachable": "true", "account": compute.Subscription}
	if identity.ok() && json.Unmarshal(identity.body, &of) == nil && of.Tenant != "" {
		all["role"], all["tenant"] = "managed identity of "+compute.Name, of.Tenant
	}
	f.entry(audit.KindMetadata, "azure", audit.InRunner, all)
	return f
}

// containers are credentials that ECS and EKS hand to one container: by an address, or by a token in a file.
func (j *job) containers() (all []question) {
	if uri := j.vars["AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"]; uri != "" {
		address := j.vars["ECS_CONTAINER_METADATA_URI_V4"]
		q := question{ask: func(ctx context.Context) found { return j.task(ctx, address) }}
		if address != "" {
			q.host, q.calls, q.note = hostOf(address), 1, "ECS task metadata: name of the task"
		}
		all = append(all, q)
	}
	full, role := j.vars["AWS_CONTAINER_CREDENTIALS_FULL_URI"], j.vars["AWS_ROLE_ARN"]
	if full != "" {
		all = append(all, question{ask: func(context.Context) (f found) {
			of := j.tokenFile("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE")
			of["host"] = hostOf(full)
			f.entry(audit.KindMetadata, "eks-pod-identity", audit.InRunner, of)
			return f
		}})
	}
	if role != "" && j.vars["AWS_WEB_IDENTITY_TOKEN_FILE"] != "" {
		all = append(all, question{ask: func(context.Context) (f found) {
			of := j.tokenFile("AWS_WEB_IDENTITY_TOKEN_FILE")
			of["role"], of["account"] = role, accountOf(role)
			f.entry(audit.KindMetadata, "web-identity", audit.InRunner, of)
			return f
		}})
	}
	if client := j.vars["AZURE_CLIENT_ID"]; client != "" && j.vars["AZURE_FEDERATED_TOKEN_FILE"] != "" {
		all = append(all, question{ask: func(context.Context) (f found) {
			of := j.tokenFile("AZURE_FEDERATED_TOKEN_FILE")
			of["role"], of["tenant"] = client, j.vars["AZURE_TENANT_ID"]
			f.entry(audit.KindMetadata, "azure-workload-identity", audit.InRunner, of)
			return f
		}})
	}
	return all
}

// task names the ECS task. Its role's name comes with the credentials alone, and so is not known.
func (j *job) task(ctx context.Context, address string) (f found) {
	of := facts{}
	if address != "" {
		a, err := j.ask(ctx, j.direct(), apiMetadata, http.MethodGet, strings.TrimRight(address, "/")+"/task", nil)
		var task struct{ TaskARN, Family string }
		if a.ok() && json.Unmarshal(a.body, &task) == nil && strings.HasPrefix(task.TaskARN, "arn:") {
			of["reachable"] = "true"
			of["task"], of["family"], of["account"] = task.TaskARN, task.Family, accountOf(task.TaskARN)
		} else {
			of["answer"] = refusal(a, err)
		}
	}
	f.entry(audit.KindMetadata, "ecs", audit.InRunner, of)
	return f
}

// tokenFile is what the token in a file says of itself.
func (j *job) tokenFile(variable string) facts {
	if c, ok := readClaims(string(j.small(j.path(variable)))); ok {
		return c.facts()
	}
	return facts{}
}

// accountOf is the account of an ARN.
func accountOf(arn string) string {
	if parts := strings.SplitN(arn, ":", 6); len(parts) == 6 {
		return parts[4]
	}
	return ""
}
