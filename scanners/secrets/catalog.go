package secrets

import (
	"fmt"
	"slices"
	"strings"

	"github.com/leakreach/leakreach/audit"
	"github.com/leakreach/leakreach/scanners/secrets/internal/rules"
)

// describe makes a rule's documentation from what is known about its provider and its kind.
func describe(r rules.Rule) audit.Rule {
	p := providerOf(r.ID)
	k := kindOf(r.ID)
	out := audit.Rule{ID: r.ID, Category: audit.CategorySecret, Severity: k.severity, CWE: 798, Generic: slices.Contains(generic, r.ID)}
	switch rest := strings.Trim(strings.TrimPrefix(r.ID, p.prefix), "-"); {
	case titles[r.ID] != "":
		out.Title = titles[r.ID]
	case p.name == "" && r.Description != "":
		out.Title = strings.TrimSuffix(r.Description, ".")
	case p.name == "":
		out.Title = "Secret of rule " + r.ID
	default:
		out.Title = strings.TrimSpace(p.name + " " + words(rest))
	}
	if s, ok := severities[r.ID]; ok {
		out.Severity = s
	}
	where := "where it was issued"
	if p.where != "" {
		where = p.where
	}
	out.Fix = []string{
		strings.ToUpper(k.end[:1]) + k.end[1:] + " " + where,
		"Issue a new one, keep it in the pipeline's secret store or a vault, and hand it over by environment or file at run time",
		"Look through " + cmpOr(p.name, "the service") + "'s audit log for use since the value was first published",
		"Remove the value from the file; rewriting history does not undo what has been copied",
	}
	out.Help = fmt.Sprintf("%s Whoever can read this place can use it until it is revoked: deleting the line does not help, "+
		"because git, caches, logs and forks keep it.\n\nTo mend it: %s, then\n\n%s\n\nBefore:\n\n```\n%s = \"%s\"\n```\n\nAfter:\n\n```\n%s = os.environ[\"%s\"]\n```\n",
		k.why, k.end+" "+where, "1. "+strings.Join(out.Fix[1:], "\n1. "), variable(r.ID), "••••", variable(r.ID), strings.ToUpper(variable(r.ID)))
	return out
}

func cmpOr(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

func variable(id string) string { return strings.ReplaceAll(id, "-", "_") }

// words makes readable what an id says behind its provider.
func words(rest string) string {
	var out []string
	for w := range strings.SplitSeq(rest, "-") {
		if s, ok := spelled[w]; ok {
			w = s
		}
		out = append(out, w)
	}
	return strings.Join(out, " ")
}

// spelled has the words of ids that are not written as they are.
var spelled = map[string]string{
	"api": "API", "id": "id", "pat": "personal access token", "oauth": "OAuth", "url": "URL", "pub": "public", "cicd": "CI/CD",
	"ptt": "pipeline trigger token", "rrt": "runner registration token", "scim": "SCIM", "ca": "CA", "tf": "Terraform", "ad": "Entra ID",
	"app": "app", "aws": "AWS", "personnal": "personal", "v2": "(second form)",
}

// A kind is what a secret does, by the end of its rule's id.
type kind struct {
	suffix   string
	severity audit.Severity
	why, end string
}

func kindOf(id string) kind {
	for _, k := range kinds {
		if strings.HasSuffix(id, k.suffix) {
			return k
		}
	}
	return kind{severity: audit.High, why: "This value lets its holder act as its owner.", end: "revoke it"}
}

var kinds = []kind{
	{"client-id", audit.Low, "A client id names an application; with the client's secret, which often lies near by, it opens the account.", "look for the client secret beside it, and replace both"},
	{"pub-key", audit.Low, "This key is made to be public. It is reported because its private twin often lies near by.", "check that it is the public key, and replace it"},
	{"public-key", audit.Low, "This key is made to be public. It is reported because its private twin often lies near by.", "check that it is the public key, and replace it"},
	{"access-id", audit.Low, "The id is half of a credential; the key that goes with it often lies near by.", "look for the key beside it, and replace both"},
	{"webhook-url", audit.Medium, "Whoever knows the address can post into the channel, in your name.", "delete the webhook"},
	{"webhook", audit.Medium, "Whoever knows the address can post into the channel, in your name.", "delete the webhook"},
	{"private-key", audit.High, "A private key proves an identity: it opens servers, signs code or decrypts traffic.", "replace the key pair and remove the public half"},
	{"password", audit.High, "A password opens the account it belongs to.", "change it"},
	{"session-cookie", audit.High, "A session cookie is a logged-in browser: it needs neither password nor second factor.", "end the session"},
	{"refresh-token", audit.High, "A refresh token makes new access tokens for as long as it is valid, mostly for months.", "revoke it"},
}

// generic are the rules that know no token's shape. Ids that say so themselves are, too.
var generic = []string{"generic-api-key", "curl-auth-header", "curl-auth-user", "kubernetes-secret-yaml", "nuget-config-password", "hashicorp-tf-password",
	"jwt-base64"}

var severities = map[string]audit.Severity{
	"generic-api-key": audit.Medium, "curl-auth-header": audit.Medium, "curl-auth-user": audit.Medium, "kubernetes-secret-yaml": audit.Medium,
	"jwt": audit.Medium, "jwt-base64": audit.Medium, "pkcs12-file": audit.Low, "mapbox-api-token": audit.Low,
	"new-relic-browser-api-token": audit.Low, "new-relic-user-api-id": audit.Low, "easypost-test-api-token": audit.Low,
	"gitlab-feature-flag-client-token": audit.Low, "gitlab-feed-token": audit.Medium, "algolia-api-key": audit.Medium, "gcp-api-key": audit.Medium,
	"sendbird-access-id": audit.Low, "sumologic-access-id": audit.Low, "alibaba-access-key-id": audit.Medium, "facebook-page-access-token": audit.High,
	"sidekiq-sensitive-url": audit.Medium,
}

var titles = map[string]string{ //nolint:gosec // titles of rules, no credentials
	"generic-api-key": "Value that looks like a key or password", "curl-auth-header": "Token in a curl command's header",
	"curl-auth-user": "User and password in a curl command", "kubernetes-secret-yaml": "Kubernetes Secret with its data", "jwt": "JSON Web Token",
	"jwt-base64": "JSON Web Token in base64", "private-key": "Private key", "pkcs12-file": "PKCS #12 file, which may hold a private key",
	"age-secret-key": "age secret key", "aws-access-token": "AWS access key id", "gitlab-pat": "GitLab personal access token",
	"gitlab-pat-routable": "GitLab personal access token, routable", "github-pat": "GitHub personal access token",
	"github-fine-grained-pat": "GitHub fine-grained personal access token", "github-oauth": "GitHub OAuth access token",
	"gcp-api-key": "Google API key", "azure-ad-client-secret": "Microsoft Entra ID client secret", "microsoft-teams-webhook": "Microsoft Teams webhook",
	"npm-access-token": "npm access token", "pypi-upload-token": "PyPI upload token", "stripe-access-token": "Stripe secret or restricted key",
	"twilio-api-key": "Twilio API key", "nuget-config-password": "Password in a NuGet configuration", "hashicorp-tf-password": "Password in Terraform code",
	"hashicorp-tf-api-token": "HCP Terraform API token", "vault-batch-token": "Vault batch token", "vault-service-token": "Vault service token",
	"sidekiq-secret": "Sidekiq Pro or Enterprise credential", "sidekiq-sensitive-url": "Sidekiq gem server address with credential",
	"openshift-user-token": "OpenShift user token", "heroku-api-key-v2": "Heroku API key", "facebook-secret": "Facebook app secret",
}

// awsRule is the rule for AWS access keys, whole or by their id.
var awsRule = audit.Rule{
	ID: ruleAWS, Title: "AWS access key", Category: audit.CategorySecret, Severity: audit.High, CWE: 798,
	Help: "A long-lived AWS access key acts as its user until it is deactivated, from anywhere in the world. Keys in public repositories are tried " +
		"by strangers within minutes. The id and its secret half are one credential and reported as one, at every place either stands.\n\n" +
		"To mend it: deactivate first, which can be undone, delete once nothing misses it, and let pipelines take a role instead of holding a key.\n\n" +
		"Before:\n\n```\nenv:\n  AWS_ACCESS_KEY_ID: AKIA••••\n  AWS_SECRET_ACCESS_KEY: ••••\n```\n\nAfter:\n\n```\npermissions:\n  id-token: write\nsteps:\n" +
		"  - uses: aws-actions/configure-aws-credentials@<commit>\n    with:\n      role-to-assume: arn:aws:iam::111122223333:role/deploy\n```\n",
	Fix: []string{
		"Deactivate the key in IAM (aws iam update-access-key --status Inactive), then delete it; deny older sessions of the user's roles",
		"Search CloudTrail for the key id since it was first published: new users, keys, policies, and roles that were assumed",
		"Let the pipeline assume a role by OpenID Connect instead of holding a key",
		"Remove the value from the file; rewriting history does not undo what has been copied",
	},
}

// A provider is who issues a secret, and where it is revoked.
type provider struct{ prefix, name, where string }

// providerOf returns the provider with the longest prefix of id.
func providerOf(id string) provider {
	var best provider
	for _, p := range providers {
		if (id == p.prefix || strings.HasPrefix(id, p.prefix+"-")) && len(p.prefix) > len(best.prefix) {
			best = p
		}
	}
	return best
}

var providers = []provider{
	{"1password", "1Password", "under Integrations of the 1Password account; a secret key is renewed with the account's sign-in details"},
	{"adafruit", "Adafruit IO", "on the IO key page"},
	{"adobe", "Adobe", "in the Adobe Developer Console, under the project's credentials"},
	{"age", "age", "by encrypting anew for a new recipient"},
	{"airtable", "Airtable", "in Airtable's Builder Hub"},
	{"algolia", "Algolia", "under API Keys of the Algolia application"},
	{"alibaba", "Alibaba Cloud", "in Alibaba Cloud's RAM console, under the user's AccessKeys"},
	{"anthropic", "Anthropic", "in the Anthropic Console, under API keys"},
	{"artifactory", "JFrog Artifactory", "in JFrog's user profile or under Access Tokens"},
	{"asana", "Asana", "in Asana's developer console"},
	{"atlassian", "Atlassian", "in the Atlassian account, under Security, API tokens"},
	{"authress", "Authress", "in Authress, under Service clients"},
	{"aws", "AWS", "in IAM: deactivate first, delete later"},
	{"azure", "Microsoft Azure", "in Entra ID, under the app registration's certificates and secrets"},
	{"beamer", "Beamer", "in Beamer's settings, under API"},
	{"bitbucket", "Bitbucket", "in Bitbucket's workspace settings, under OAuth consumers"},
	{"bittrex", "Bittrex", "at Bittrex, if the account still exists"},
	{"cisco-meraki", "Cisco Meraki", "in the Meraki dashboard's profile"},
	{"clickhouse-cloud", "ClickHouse Cloud", "in ClickHouse Cloud, under API keys"},
	{"clojars", "Clojars", "on the Clojars tokens page"},
	{"cloudflare", "Cloudflare", "in Cloudflare's profile, under API Tokens"},
	{"codecov", "Codecov", "in Codecov's settings, under Access"},
	{"cohere", "Cohere", "in Cohere's dashboard, under API keys"},
	{"coinbase", "Coinbase", "in Coinbase's settings, under API"},
	{"confluent", "Confluent Cloud", "in Confluent Cloud, under API keys"},
	{"contentful", "Contentful", "in the space's settings, under API keys"},
	{"curl", "", ""},
	{"databricks", "Databricks", "in the workspace's user settings, under Developer"},
	{"datadog", "Datadog", "in Datadog's organisation settings, under keys"},
	{"defined-networking", "Defined Networking", "in its admin panel, under API keys"},
	{"digitalocean", "DigitalOcean", "in DigitalOcean's control panel, under API"},
	{"discord", "Discord", "in Discord's developer portal"},
	{"doppler", "Doppler", "in Doppler, under the project's or account's tokens"},
	{"droneci", "Drone CI", "on the Drone server's account page"},
	{"dropbox", "Dropbox", "in the Dropbox app console"},
	{"duffel", "Duffel", "in Duffel's dashboard, under developers"},
	{"dynatrace", "Dynatrace", "in Dynatrace, under Access tokens"},
	{"easypost", "EasyPost", "in EasyPost's account settings"},
	{"etsy", "Etsy", "on Etsy's developer page"},
	{"facebook", "Facebook", "in Meta's app dashboard"},
	{"fastly", "Fastly", "in Fastly's account, under API tokens"},
	{"finicity", "Finicity", "in Finicity's developer portal"},
	{"finnhub", "Finnhub", "in Finnhub's dashboard"},
	{"flickr", "Flickr", "in Flickr's App Garden"},
	{"flutterwave", "Flutterwave", "in Flutterwave's dashboard, under API"},
	{"flyio", "Fly.io", "with flyctl tokens revoke"},
	{"frameio", "Frame.io", "in Frame.io's developer tools"},
	{"freemius", "Freemius", "in Freemius' dashboard"},
	{"freshbooks", "FreshBooks", "in FreshBooks' developer portal"},
	{"gcp", "Google Cloud", "in the Google Cloud console, under APIs and services, Credentials"},
	{"github", "GitHub", "in GitHub's settings, under Developer settings; an organisation's owner can revoke it too"},
	{"gitlab", "GitLab", "in GitLab, under Access tokens of the user, project or group; an administrator can revoke it too"},
	{"gitter", "Gitter", "at Gitter, if the account still exists"},
	{"gocardless", "GoCardless", "in GoCardless' dashboard, under Developers"},
	{"grafana", "Grafana", "in Grafana, under Service accounts or the cloud portal's access policies"},
	{"harness", "Harness", "in Harness' profile, under API keys"},
	{"hashicorp", "HashiCorp", "in HCP Terraform's settings, under Tokens"},
	{"heroku", "Heroku", "in Heroku's account settings, or with heroku authorizations:revoke"},
	{"hubspot", "HubSpot", "in HubSpot's settings, under Private Apps"},
	{"huggingface", "Hugging Face", "in Hugging Face's settings, under Access Tokens"},
	{"infracost", "Infracost", "in Infracost Cloud's organisation settings"},
	{"intercom", "Intercom", "in Intercom's developer hub"},
	{"intra42", "42 Intra", "in the intranet's application settings"},
	{"jfrog", "JFrog", "in JFrog's user profile or under Access Tokens"},
	{"kraken", "Kraken", "in Kraken's settings, under API"},
	{"kucoin", "KuCoin", "in KuCoin's API management"},
	{"launchdarkly", "LaunchDarkly", "in LaunchDarkly's account settings, under Authorization"},
	{"linear", "Linear", "in Linear's settings, under API"},
	{"linkedin", "LinkedIn", "in LinkedIn's developer portal"},
	{"lob", "Lob", "in Lob's dashboard, under API keys"},
	{"looker", "Looker", "in Looker's admin page, under the user's API keys"},
	{"mailchimp", "Mailchimp", "in Mailchimp's account, under Extras, API keys"},
	{"mailgun", "Mailgun", "in Mailgun's control panel, under API security"},
	{"mapbox", "Mapbox", "on Mapbox's access token page"},
	{"mattermost", "Mattermost", "in Mattermost's profile, under Security"},
	{"maxmind", "MaxMind", "in MaxMind's account, under license keys"},
	{"messagebird", "MessageBird", "in Bird's dashboard, under Developers"},
	{"microsoft-teams", "Microsoft Teams", "in the channel's connectors or workflows"},
	{"netlify", "Netlify", "in Netlify's user settings, under Applications"},
	{"new-relic", "New Relic", "on New Relic's API keys page"},
	{"notion", "Notion", "in Notion's integrations page"},
	{"npm", "npm", "with npm token revoke"},
	{"nuget", "", ""},
	{"nytimes", "New York Times", "in its developer portal"},
	{"octopus-deploy", "Octopus Deploy", "in the Octopus profile, under API keys"},
	{"okta", "Okta", "in Okta's admin console, under Security, API, Tokens"},
	{"openai", "OpenAI", "in OpenAI's dashboard, under API keys"},
	{"openshift", "OpenShift", "with oc logout or oc delete oauthaccesstoken"},
	{"perplexity", "Perplexity", "in Perplexity's settings, under API"},
	{"plaid", "Plaid", "in Plaid's dashboard, under Keys"},
	{"planetscale", "PlanetScale", "in PlanetScale's settings, under Service tokens or the database's passwords"},
	{"postman", "Postman", "in Postman's settings, under API keys"},
	{"prefect", "Prefect", "in Prefect Cloud's profile, under API keys"},
	{"privateai", "Private AI", "in Private AI's portal"},
	{"pulumi", "Pulumi", "in Pulumi Cloud, under Access tokens"},
	{"pypi", "PyPI", "in PyPI's account settings, under API tokens"},
	{"rapidapi", "RapidAPI", "in RapidAPI's developer dashboard, under the app's security"},
	{"readme", "ReadMe", "in ReadMe's project configuration, under API keys"},
	{"rubygems", "RubyGems", "in RubyGems' settings, under API keys"},
	{"scalingo", "Scalingo", "in Scalingo's dashboard, under API tokens"},
	{"sendbird", "Sendbird", "in Sendbird's dashboard, under the application's settings"},
	{"sendgrid", "SendGrid", "in SendGrid's settings, under API keys"},
	{"sendinblue", "Brevo", "in Brevo's settings, under SMTP and API"},
	{"sentry", "Sentry", "in Sentry's settings, under Auth Tokens"},
	{"settlemint", "SettleMint", "in SettleMint's console"},
	{"shippo", "Shippo", "in Shippo's settings, under API"},
	{"shopify", "Shopify", "in the Shopify admin, under Apps"},
	{"slack", "Slack", "at api.slack.com, under the app's settings, or with auth.revoke"},
	{"snyk", "Snyk", "in Snyk's account settings"},
	{"sonar", "Sonar", "in SonarQube's account, under Security"},
	{"sourcegraph", "Sourcegraph", "in Sourcegraph's settings, under Access tokens"},
	{"square", "Square", "in Square's developer dashboard"},
	{"squarespace", "Squarespace", "in Squarespace's settings, under API keys"},
	{"stripe", "Stripe", "in Stripe's dashboard, under Developers, API keys: roll the key"},
	{"sumologic", "Sumo Logic", "in Sumo Logic's preferences, under access keys"},
	{"telegram", "Telegram", "by asking @BotFather for a new token (/revoke)"},
	{"travisci", "Travis CI", "in Travis CI's settings"},
	{"twilio", "Twilio", "in Twilio's console, under API keys"},
	{"twitch", "Twitch", "in Twitch's developer console"},
	{"twitter", "X (Twitter)", "in X's developer portal, under Keys and tokens"},
	{"typeform", "Typeform", "in Typeform's account, under Personal tokens"},
	{"vault", "HashiCorp Vault", "with vault token revoke"},
	{"yandex", "Yandex", "in Yandex Cloud's console, under the service account"},
	{"zendesk", "Zendesk", "in Zendesk's admin centre, under Apps and integrations"},
}
