package secrets

import (
	"encoding/base64"
	"fmt"
	"strings"
	"testing"

	"github.com/leakreach/leakreach/audit"
)

// A secret in one CI variable belongs to whom others of the same place name, if that can be nobody else.
func TestWhoseInVariables(t *testing.T) {
	r := newSource()
	hex := func(n int) string { return r.of("0123456789abcdef", n) }
	guid := func() string { return hex(8) + "-" + hex(4) + "-" + hex(4) + "-" + hex(4) + "-" + hex(12) }
	secret, password := r.of(alnum, 3)+"8Q~"+r.of(alnum, 34), r.of(alnum, 18)
	client, other, tenant := guid(), guid(), guid()
	keyID, keySecret := "AKIA"+r.of("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", 16), r.of(alnum, 40)
	folded := `-----BEGIN PRIVATE KEY-----\n` + base64.StdEncoding.EncodeToString([]byte(r.of(alnum, 600))) + `\n-----END PRIVATE KEY-----\n`
	const email = "deploy@acme-prod.iam.gserviceaccount.com"
	azure, whole := "azure-ad-client-secret", "azure-ad-client-secret "+client+" "+tenant
	for _, c := range []struct {
		name      string
		variables string // NAME=VALUE, or "PAGE NAME=VALUE", where a page may be PAGE:ENVIRONMENT
		want      string // kind, id and public parts of what is known most of
	}{
		{"an application's", "AZURE_CLIENT_ID=" + client + "|AZURE_TENANT_ID=" + tenant + "|AZURE_CLIENT_SECRET=" + secret, whole},
		{"in any order", "ARM_CLIENT_SECRET=" + secret + "|ARM_TENANT_ID=" + tenant + "|ARM_CLIENT_ID=" + strings.ToUpper(client), whole},
		{"two applications in one tenant", "PROD_CLIENT_ID=" + client + "|TEST_CLIENT_ID=" + other + "|TENANT_ID=" + tenant + "|PROD_CLIENT_SECRET=" + secret, whole},
		{"of another application", "TEST_CLIENT_ID=" + other + "|TENANT_ID=" + tenant + "|PROD_CLIENT_SECRET=" + secret, azure + " " + tenant},
		{"one of two", "a CLIENT_ID=" + client + "|b CLIENT_ID=" + other + "|c CLIENT_SECRET=" + secret, azure},
		{"of the same page", "a CLIENT_ID=" + client + "|b CLIENT_ID=" + other + "|TENANT_ID=" + tenant + "|a CLIENT_SECRET=" + secret, whole},
		{"a name twice on a page", "CLIENT_ID=" + client + "|CLIENT_ID=" + other + "|CLIENT_SECRET=" + secret, azure},
		{"of the same environment", ":a CLIENT_ID=" + client + "|:b CLIENT_ID=" + other + "|TENANT_ID=" + tenant + "|:a CLIENT_SECRET=" + secret, whole},
		{"of no environment of its own", "CLIENT_ID=" + client + "|:b CLIENT_ID=" + other + "|TENANT_ID=" + tenant + "|:a CLIENT_SECRET=" + secret, whole},
		{"of two other environments", ":a CLIENT_ID=" + client + "|:b CLIENT_ID=" + other + "|CLIENT_SECRET=" + secret, azure},
		{"of another target", "@CLIENT_ID=" + client + "|CLIENT_SECRET=" + secret, azure},
		{"an id among others", "AZURE_CLIENT_ID=" + client + "," + other + "|AZURE_CLIENT_SECRET=" + secret, azure},
		{"a service account's key", "GCP_CLIENT_EMAIL=" + email + "|GCP_PRIVATE_KEY=" + folded, "gcp-service-account-key " + email},
		{"a key of somebody else's", "MAIL_CLIENT_EMAIL=" + email + "|DEPLOY_PRIVATE_KEY=" + folded, "private-key"},
		{"an AWS key", "AWS_ACCESS_KEY_ID=" + keyID + "|AWS_SECRET_ACCESS_KEY=" + keySecret, "aws-access-key " + keyID},
		{"a login", "CI_REGISTRY=reg.example.org:5000|CI_REGISTRY_USER=ci|CI_REGISTRY_PASSWORD=" + password, "registry-login ci reg.example.org:5000"},
		{"a login by an address", "DOCKER_SERVER=https://reg.example.org/v2/|DOCKER_USERNAME=ci|DOCKER_PASSWORD=" + password, "registry-login ci reg.example.org"},
		{"a login of nowhere", "DOCKER_USERNAME=ci|DOCKER_PASSWORD=" + password, "generic-api-key"},
		{"a login of Docker Hub", "DOCKERHUB_USERNAME=ci|DOCKERHUB_PASSWORD=" + password, "registry-login ci index.docker.io"},
		{"a token of Docker Hub", "DOCKER_USERNAME=ci|DOCKER_TOKEN=dckr_pat_" + r.of(alnum, 20) + "-_1b2C3", "registry-login ci index.docker.io"},
		{"a host that is none", "REGISTRY=user:" + password + "@reg.example.org|REGISTRY_USER=ci|REGISTRY_PASSWORD=" + password, "generic-api-key"},
		{"what is no registry's", "DB_HOST=db.example.org|DB_USER=ci|DB_PASSWORD=" + password, "generic-api-key"},
		{"a configuration", `DOCKER_AUTH_CONFIG={"auths":{"reg.example.org":{"auth":"` + base64.StdEncoding.EncodeToString([]byte("ci:"+password)) + `"}}}`, "registry-login ci reg.example.org"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := scanner(t, Options{})
			var found []audit.Finding
			for _, v := range strings.Split(c.variables, "|") {
				v, elsewhere := strings.CutPrefix(v, "@")
				name, value, _ := strings.Cut(v, "=")
				page := ""
				if i := strings.IndexByte(name, ' '); i >= 0 {
					page, name = name[:i], name[i+1:]
				}
				page, environment, _ := strings.Cut(page, ":")
				at := audit.Location{Target: fmt.Sprint(elsewhere), Kind: audit.InVariable, Name: name, URL: page, Environment: environment}
				some, _ := s.Scan(audit.Item{Kind: audit.KindVariable, At: at}, []byte(value))
				for _, f := range some {
					l := &f.Locations[0]
					l.Target, l.Kind, l.Name, l.URL, l.Environment = at.Target, at.Kind, at.Name, at.URL, at.Environment
					found = append(found, f)
				}
			}
			got := ""
			for _, f := range s.Join(found) {
				if f.Candidate {
					t.Error("a candidate is left:", f.Secret)
				}
				public := f.Secret.Public()
				if text := strings.Join(strings.Fields(f.Secret.String()+" "+public[audit.PartTenant]+" "+public[audit.PartHost]), " "); len(text) > len(got) {
					got = text
				}
			}
			if got != c.want {
				t.Errorf("found %q, want %q", got, c.want)
			}
		})
	}
}

// Of two keys whose halves have the same names, in two environments of one page, each id takes the secret of its own.
func TestKeysOfTwoEnvironments(t *testing.T) {
	r, s := newSource(), scanner(t, Options{})
	var found []audit.Finding
	want := map[string]string{}
	for _, environment := range []string{"production", "staging", "review/*", "test"} {
		id, secret := "AKIA"+r.of("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", 16), r.of(alnum, 40)
		want[id] = (audit.Key{}).ValueDigest(audit.NewSecret("", "", secret))
		for name, value := range map[string]string{"AWS_ACCESS_KEY_ID": id, "AWS_SECRET_ACCESS_KEY": secret} {
			at := audit.Location{Target: "gitlab:acme/web", Kind: audit.InVariable, Name: name, URL: "https://gitlab.example.com/", Environment: environment}
			some, _ := s.Scan(audit.Item{Kind: audit.KindVariable, At: at}, []byte(value))
			for _, f := range some {
				f.Locations[0] = at
				found = append(found, f)
			}
		}
	}
	for _, f := range s.Join(found) {
		if f.Secret.ID == "" {
			continue
		}
		if got := (audit.Key{}).ValueDigest(f.Secret); got != want[f.Secret.ID] {
			t.Errorf("%s has another's secret, or none", f.Secret.ID)
		}
		delete(want, f.Secret.ID)
	}
	if len(want) > 0 {
		t.Errorf("%d keys are missing", len(want))
	}
}
