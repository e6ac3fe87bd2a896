package secrets

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"strings"
	"testing"

	"github.com/leakreach/leakreach/audit"
)

// TestBeside: a secret that opens nothing alone is found with what it takes beside, and with nothing where that could be another's.
func TestBeside(t *testing.T) {
	private, err := rsa.GenerateKey(rand.Reader, 1024)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	block := string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
	folded := strings.ReplaceAll(block, "\n", `\n`)
	r := newSource()
	hex := func(n int) string { return r.of("0123456789abcdef", n) }
	guid := func() string { return hex(8) + "-" + hex(4) + "-" + hex(4) + "-" + hex(4) + "-" + hex(12) }
	secret := func() string { return r.of(alnum, 3) + "8Q~" + r.of(alnum, 34) }
	login := func(user, password string) string {
		return base64.StdEncoding.EncodeToString([]byte(user + ":" + password))
	}
	client, tenant, key, pat, password := guid(), guid(), hex(40), "dckr_pat_"+r.of(alnum, 20)+"-_1b2C3", r.of(alnum, 18)
	const email = "deploy@acme-prod.iam.gserviceaccount.com"
	account := fmt.Sprintf(`{"type": "service_account", "private_key_id": "%s", "private_key": "%s", "client_email": "%s"}`, key, folded, email)
	gcp, azure, hub, shell := ruleGCP+" "+email, ruleAzure+" "+client, "docker-hub-token", "shell-password ci"
	for _, c := range []struct {
		name, path, text string
		want             string // rule and id
		part, value      string
	}{
		{"a service account's key", "key.json", account, gcp, audit.PartKeyID, key},
		{"in base64", "ci.yml", "KEY: " + base64.StdEncoding.EncodeToString([]byte(account)), gcp, audit.PartKeyID, key},
		{"in a string", "state.json", `{"value": "` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(account) + `"}`, gcp, audit.PartKeyID, key},
		{"in settings", ".env", "FIREBASE_CLIENT_EMAIL=" + email + "\nFIREBASE_PRIVATE_KEY=\"" + folded + "\"\n", gcp, audit.PartKeyID, ""},
		{"a key of nobody's", "key.pem", block, "private-key", audit.PartKeyID, ""},
		{"a key of one of two", "key.txt", "other@acme-prod.iam.gserviceaccount.com " + email + "\n" + block, "private-key", audit.PartKeyID, ""},
		{"an application's file", "sp.json", `{"clientId": "` + client + `", "clientSecret": "` + secret() + `", "subscriptionId": "` + guid() + `", "tenantId": "` + tenant + `"}`, azure, audit.PartTenant, tenant},
		{"az ad sp create-for-rbac", "sp.json", `{"appId": "` + client + `", "displayName": "ci", "password": "` + secret() + `", "tenant": "` + tenant + `"}`, azure, audit.PartTenant, tenant},
		{"az login", "login.sh", "az login --service-principal -u " + client + " -p '" + secret() + "' --tenant acme.onmicrosoft.com\n", azure, audit.PartTenant, "acme.onmicrosoft.com"},
		{"in Terraform", "main.tf", "provider \"azurerm\" {\n  client_id       = \"" + client + "\"\n  client_secret   = \"" + secret() + "\"\n  tenant_id       = \"" + tenant + "\"\n}\n", azure, audit.PartTenant, tenant},
		{"of the object around it", "apps.json", `{"a": {"client_id": "` + guid() + `"}, "b": {"client_id": "` + client + `", "secret": "` + secret() + `"}, "tenant_id": "` + tenant + `"}`, azure, audit.PartTenant, tenant},
		{"one of two applications", "apps.txt", "client_id=" + client + "\nclient_id=" + guid() + "\nsecret=" + secret() + "\n", ruleAzure, audit.PartTenant, ""},
		{"a login of Docker", ".docker/config.json", `{"auths": {"https://reg.example.org:5000/v2/": {"auth": "` + login("ci", password) + `"}}}`, "docker-registry-auth ci", audit.PartHost, "reg.example.org:5000"},
		{"an old one", ".dockercfg", `{"https://index.docker.io/v1/": {"auth": "` + login("ci", password) + `"}}`, "docker-registry-auth ci", audit.PartHost, "index.docker.io"},
		{"one of Podman", "containers/auth.json", `{"auths": {"quay.io": {"auth": "` + login("acme+ci", password) + `"}}}`, "docker-registry-auth acme+ci", audit.PartHost, "quay.io"},
		{"a name that is none", ".docker/config.json", `{"auths": {"https://me:pass@reg.example.org/v2/": {"auth": "` + login("ci", password) + `"}}}`, "docker-registry-auth ci", audit.PartHost, ""},
		{"docker login", "ci.sh", "docker login -u ci -p " + password + " reg.example.org\n", shell, audit.PartHost, "reg.example.org"},
		{"without a registry", "ci.sh", "docker login --username=ci --password " + password + "\n", shell, audit.PartHost, "index.docker.io"},
		{"one's own default", "ci.sh", "podman login -u ci -p " + password + "\n", shell, audit.PartHost, ""},
		{"piped", "ci.sh", "echo '" + password + "' | docker login https://reg.example.org/v2/ \\\n  -u ci --password-stdin && docker push x\n", shell, audit.PartHost, "reg.example.org"},
		{"piped by name", "ci.sh", "R=reg.example.org\nexport PASSWORD=" + password + "\necho \"$PASSWORD\" | docker login -u ci --password-stdin ${R}\n", shell, audit.PartHost, "reg.example.org"},
		{"a here-string", "ci.sh", "export PASSWORD=" + password + "\npodman login -u ci --password-stdin quay.io <<< \"$PASSWORD\"\n", shell, audit.PartHost, "quay.io"},
		{"in a workflow", ".github/workflows/ci.yml", "env:\n  NAME: ci\n  REG_PASSWORD: " + password + "\njobs:\n  a:\n    steps:\n      - run: docker login -u ${{ env.NAME }} -p \"$REG_PASSWORD\" ghcr.io\n",
			shell, audit.PartHost, "ghcr.io"},
		{"in GitLab's", ".gitlab-ci.yml", "variables:\n  REG: reg.example.org:5000\n  REG_PASSWORD: '" + password + "'\na:\n  script:\n    - docker login -u ci -p $REG_PASSWORD $REG\n",
			shell, audit.PartHost, "reg.example.org:5000"},
		{"a registry that nobody tells", "ci.sh", "docker login -u ci -p " + password + " $REG\n", shell, audit.PartHost, ""},
		{"one of two registries", "ci.sh", "REG=a.example.org\nREG=b.example.org\ndocker login -u ci -p " + password + " $REG\n", shell, audit.PartHost, ""},
		{"in quotes", ".gitlab-ci.yml", "a:\n  script:\n    - 'docker login --username=\"ci\" -p=\"" + password + "\" reg.example.org'\n", "shell-password ci", audit.PartHost, "reg.example.org"},
		{"a user that nobody tells", "ci.sh", "docker login -u $(whoami) -p " + password + " reg.example.org\n", "shell-password $(whoami)", audit.PartHost, ""},
		{"a user of the forge's", ".github/workflows/ci.yml", "      - run: docker login -p " + password + " -u ${{ github.actor }} ghcr.io\n", "shell-password", audit.PartHost, "ghcr.io"},
		{"another command's pipe", "ci.sh", "echo " + password + " | docker login -u ci --password-stdin a.example.org; docker login -u ci --password-stdin b.example.org < x\n", "shell-password ci", audit.PartHost, "a.example.org"},
		{"if the first fails", "ci.sh", "export REG_PASSWORD=" + password + "\necho $REG_PASSWORD || docker login -u ci --password-stdin b.example.org\n", "shell-password", audit.PartHost, ""},
		{"the action", ".github/workflows/ci.yml", "jobs:\n  a:\n    steps:\n      - uses: docker/login-action@v3\n        with:\n          registry: ${{ env.REG }}\n          username: ci\n          password: " + password + "\n      - run: x\n        registry: y\nenv:\n  REG: ghcr.io\n",
			"shell-password ci", audit.PartHost, "ghcr.io"},
		{"the action, without a registry", ".github/workflows/ci.yml", "      - uses: docker/login-action@v3\n        with:\n          username: ci\n          password: '" + password + "'\n", "shell-password ci", audit.PartHost, "index.docker.io"},
		{"arguments that are not known", "ci.sh", "docker login -u ci -p " + password + " --what ever reg.example.org\n", shell, audit.PartHost, ""},
		{"a token of Docker Hub", "notes.txt", "use " + pat + " for it\n", hub, audit.PartHost, "index.docker.io"},
		{"with its user", ".env", "HUB_USERNAME=acme\nHUB_TOKEN=" + pat + "\n", hub + " acme", audit.PartHost, "index.docker.io"},
		{"a token of Gitea", "ci.yml", "GITEA_TOKEN: " + key + "\n", "gitea-token", "", ""},
		{"in a command", "notes.txt", "curl -H 'Authorization: token " + key + "' https://codeberg.org/api/v1/user\n", "gitea-token", "", ""},
		{"in an address", "notes.txt", "git clone https://ci:" + key + "@gitea.example.org/acme/web\n", "gitea-token ci", "", ""},
		{"of Gitea's command line", "home/.config/tea/config.yml", "logins:\n- name: acme\n  url: https://git.example.org\n  token: " + key + "\n", "gitea-token", "", ""},
		{"of another forge", "ci.yml", "FORGE_TOKEN: " + key + "\n# gitea\n", "generic-api-key", "", ""},
		{"a commit of Gitea", "ci.yml", "gitea_commit: " + key + "\n", "", "", ""},
		{"what is longer than one", "notes.txt", "use " + pat + "x for it\n", "", "", ""},
		{"a template of one", "notes.txt", "use dckr_pat_" + strings.Repeat("x", 27) + " for it\n", "", "", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			found, _ := scanner(t, Options{}).Scan(file(c.path), []byte(c.text))
			got := map[string]*audit.Secret{}
			for _, f := range found {
				got[strings.TrimSpace(f.Rule+" "+f.Secret.ID)] = f.Secret
			}
			s := got[c.want]
			if c.want == "" && len(got) == 0 {
				return
			}
			if s == nil {
				t.Fatalf("found %v, want %s", got, c.want)
			}
			if want := (audit.Key{}).ValueDigest(audit.NewSecret("", "", c.value)); (audit.Key{}).PartDigest(s, c.part) != want {
				t.Errorf("%s is not %q", c.part, c.value)
			}
		})
	}
}
