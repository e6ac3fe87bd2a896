package known

import "testing"

func TestSecretName(t *testing.T) {
	for name, want := range map[string]bool{
		"DEPLOY_TOKEN": true, "npm-token": true, "API_KEY": true, "PRIVATE_KEY": true, "DB_PASSWORD": true, "KUBECONFIG": true, "GPG_PASSPHRASE": true,
		"AWS_SECRET_ACCESS_KEY": true, "AWS_ACCESS_KEY_ID": false, "PUBLIC_KEY": false, "KEY": false, "MONKEY": false, "TOKEN_URL": false, "": false, "_": false,
	} {
		if got := SecretName(name); got != want {
			t.Errorf("SecretName(%q) = %t", name, got)
		}
	}
}
