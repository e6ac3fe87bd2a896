// Package known is what two scanners know alike, which never see each other: the text of rules that an inventory and a definition can both break, and what
// names of secrets look like.
package known

import (
	"slices"
	"strings"
)

// Words splits a variable's name at what people put between words.
func Words(name string) []string {
	return strings.FieldsFunc(strings.ToUpper(name), func(r rune) bool { return r == '_' || r == '-' || r == '.' })
}

// SecretName tells whether a name is one that people give to secrets, and not to the public half of one or to where it is kept.
func SecretName(name string) bool {
	w := Words(name)
	if isAbout(w) || slices.Contains(w, "PUBLIC") || slices.Contains(w, "PUB") {
		return false
	}
	for i, word := range w {
		switch word {
		case "TOKEN", "SECRET", "PASSWORD", "PASSWD", "PASS", "PASSPHRASE", "CREDENTIAL", "CREDENTIALS", "CREDS", "APIKEY", "PAT", "KUBECONFIG", "DOCKERCONFIG":
			return true
		case "KEY":
			if i > 0 && slices.Contains([]string{"API", "ACCESS", "PRIVATE", "SSH", "DEPLOY", "ENCRYPTION", "SIGNING", "ACCOUNT", "SECRET", "AUTH", "SA", "GPG", "LICENSE"}, w[i-1]) {
				return true
			}
		}
	}
	return false
}

// isAbout tells whether words say something about a secret, such as where it is kept, and are not what it is called itself.
func isAbout(w []string) bool {
	return len(w) == 0 || slices.Contains([]string{"ID", "URL", "URI", "HOST", "NAME", "USER", "USERNAME", "PATH", "ARN", "VERSION", "ENABLED", "LENGTH", "REGION", "BUCKET"}, w[len(w)-1])
}

// CloudKey is whose long-lived key a name stands for, or "". Public halves, such as AWS_ACCESS_KEY_ID, are none, nor is what a vault calls a secret, such as
// AWS_SECRET_NAME.
func CloudKey(name string) string {
	if isAbout(Words(name)) {
		return ""
	}
	joined := "_" + strings.Join(Words(name), "_") + "_"
	has := func(all ...string) bool {
		return slices.ContainsFunc(all, func(s string) bool { return strings.Contains(joined, "_"+s+"_") })
	}
	switch {
	case has("AWS_SECRET_ACCESS_KEY", "AWS_SECRET_KEY", "AWS_SECRET"):
		return "AWS"
	case has("GOOGLE_CREDENTIALS", "GCP_CREDENTIALS", "GCLOUD_SERVICE_KEY", "GCP_SA_KEY", "GKE_SA_KEY", "GOOGLE_SA_KEY", "GCP_SERVICE_ACCOUNT_KEY", "GOOGLE_SERVICE_ACCOUNT_KEY", "FIREBASE_SERVICE_ACCOUNT", "GOOGLE_APPLICATION_CREDENTIALS"):
		return "Google Cloud"
	case has("AZURE_CREDENTIALS", "AZURE_CLIENT_SECRET", "ARM_CLIENT_SECRET"):
		return "Azure"
	}
	return ""
}
