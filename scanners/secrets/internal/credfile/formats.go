package credfile

import (
	"bytes"
	"encoding/hex"
	"strings"
	"unicode/utf8"

	"github.com/leakreach/leakreach/audit"
)

// A format says which secrets lie in which files. One that reads entries takes those whose names keys lists; one that reads
// otherwise finds credentials itself.
type format struct {
	rule  string
	files string // base names, "dir/name", "*.ext", "prefix*" up to the first dot, "first-*.ext" and "first.*.ext", "dir/*"; lower case
	// doc is the reader of a file of entries, find that of any other.
	doc  func([]byte) *doc
	find func([]byte) []Credential
	// keys are the folded names of secrets, each with the path that must enclose it before a "/" and ":base64" or another
	// decoder behind it; "" for every name that sounds like a secret's. "*" takes every name.
	keys string
	// made is set for files that are made for credentials: every value that is filled in is one, weak ones included.
	made bool
	// sniff are strings, separated by "|", that show the format whatever the file's name: JSON and XML by their first byte too,
	// YAML by a line that begins with the first of them.
	sniff string

	marks [][]byte
	mark  int // number of the first of them, or -1 for one that stands at the beginning
	names map[string][]want
}

// A want is one secret's name as a row asks for it.
type want struct {
	path   string // the path ends in it; "" for any
	decode string
}

// dockerKeys are the secrets in Docker's configuration.
const dockerKeys = "auth:basic identitytoken registrytoken password"

// What each row's files are is documented by the tool that the rule names.
var formats = []format{
	// Clients of package registries, containers and version control.
	{rule: "netrc-password", files: ".netrc _netrc netrc .authinfo authinfo", find: netrc},
	{rule: "git-credentials", files: ".git-credentials git/credentials .git/credentials", find: gitCredentials},
	{rule: "registry-credential", files: ".npmrc npmrc", doc: lines, made: true,
		keys: "authtoken auth:basic password:base64"},
	{rule: "registry-credential", files: ".yarnrc", doc: spaced, made: true, keys: "authtoken auth:basic password:base64"},
	{rule: "registry-credential", files: ".yarnrc.yml", doc: yaml, made: true, keys: "npmauthtoken npmauthident:basic"},
	{rule: "registry-credential", files: ".pypirc pypirc pip.conf pip.ini poetry/auth.toml pypoetry/auth.toml uv/credentials.toml .condarc", doc: lines, made: true, keys: "password token"},
	{rule: "registry-credential", files: ".cargo/credentials .cargo/credentials.toml cargo/credentials.toml .gem/credentials .bundle/config hex/hex.config", doc: lines, made: true,
		keys: "token rubygemsapikey githubpackages password secretkey *"},
	{rule: "registry-credential", files: ".cargo/config.toml .cargo/config", doc: lines, made: true, keys: "token password"},
	{rule: "registry-credential", files: "auth.json composer/auth.json .composer/auth.json", doc: json, made: true,
		keys: "password httpbasic/*/password githuboauth/* gitlaboauth/* gitlabtoken/* bearer/* token consumersecret auths/*/auth:basic auth:basic identitytoken"},
	{rule: "registry-credential", files: "nuget.config .nuget/nuget.config", doc: xml, made: true, keys: "cleartextpassword password apikeys/*"},
	{rule: "registry-credential", files: "helm/repositories.yaml repositories.yaml", doc: yaml, made: true, keys: "password"},
	{rule: "registry-credential", files: "settings.xml .m2/settings.xml", doc: xml, keys: "password passphrase privatetoken jobtoken deploytoken", sniff: "<settings|<servers>"},
	{rule: "registry-credential", files: "settings-security.xml", doc: xml, made: true, keys: "master:braced"},
	{rule: "pem-private-key", files: "*.jwk jwks.json", doc: json, made: true, keys: "d k", sniff: `"kty"|"d"`}, // RFC 7517; a public key has no "d"
	{rule: "docker-registry-auth", files: ".docker/config.json .dockercfg .dockerconfigjson containers/auth.json kaniko/config.json", doc: json, made: true,
		keys: dockerKeys, sniff: `"auths"|"auth"`},
	{rule: "version-control-password", files: ".cvspass", find: cvsServers},
	{rule: "version-control-password", files: ".subversion/auth svn.simple/*", find: svnAuth},
	{rule: "version-control-password", files: ".hgrc hgrc mercurial.ini .gitconfig .git/config .gitmodules", doc: lines, keys: "auth/* password extraheader token"},
	{rule: "forge-token", files: "hub .config/hub config/hub gh/hosts.yml glab-cli/config.yml .tugboat .lab.toml lab/lab.toml glab/config.yml tea/config.yml", doc: yaml, made: true,
		keys: "oauthtoken token apikey password"},

	// Databases.
	{rule: "database-password", files: ".pgpass pgpass.conf pgpass", find: pgpass},
	{rule: "database-password", files: ".my.cnf my.cnf my.ini mysql/my.cnf .mariadb.cnf debian.cnf client.cnf .pg_service.conf pg_service.conf odbc.ini .odbc.ini freetds.conf", doc: lines, made: true, keys: "password pwd"},
	{rule: "database-password", files: ".mylogin.cnf", find: loginPath},
	{rule: "database-password", files: "database.yml mongoid.yml database.yaml redis.yml cable.yml sunspot.yml elasticsearch.yml", doc: yaml, keys: "password"},
	{rule: "database-password", files: ".dbeaver/credentials-config.json credentials-config.json robomongo.json robo3t.json .robomongo/robomongo.json sqltools.json .sqlite-web.json datasources.json", doc: json, made: true,
		keys: "password userpassword sshpassphrase sshuserpassword passphrase sslpempassphrase"},
	{rule: "database-password", files: "dbeaver-data-sources.xml data-sources.xml datasources.xml datasources.local.xml server.xml context.xml tomcat-users.xml persistence.xml hibernate.cfg.xml standalone.xml domain.xml jboss-web.xml", doc: xml,
		made: true, keys: "password secret connectionpassword hibernateconnectionpassword javaxpersistencejdbcpassword jakartapersistencejdbcpassword keystorepass"},
	{rule: "password-hash", files: "*.sql *.dump *.ldif", find: hashes},

	{rule: "database-password", files: "*.sql *.ddl .psql_history .mysql_history", find: statements},

	// Users' password files.
	{rule: "password-hash", files: ".htpasswd htpasswd *.htpasswd passwd.htpasswd .htdigest", find: htpasswd},
	{rule: "password-hash", files: "shadow shadow- gshadow passwd passwd- master.passwd proftpdpasswd proftpd.passwd ftpd.passwd dovecot.passwd users.passwd slapd.conf kickstart.cfg ks.cfg preseed.cfg user-data cloud.cfg cloud-init.yml cloud-init.yaml", find: hashes, sniff: ":$6$"},

	// Clusters.
	{rule: "kubeconfig-credential", files: ".kube/config kubeconfig *.kubeconfig kubeconfig.yml kubeconfig.yaml admin.conf kubelet.conf config.kube", doc: yaml, made: true,
		keys: "user/token token user/password password clientkeydata:base64 idtoken refreshtoken clientsecret accesstoken", sniff: "kind: Config|users:"},
	{rule: "kubernetes-secret", find: manifests, sniff: "kind: Secret|data:"},
	{rule: "kubernetes-secret", find: manifests, sniff: "kind: Secret|stringData:"},
	{rule: "kubernetes-secret", find: manifests, sniff: `kind: "Secret"|data:`},
	{rule: "kubernetes-secret", find: manifests, sniff: `kind: "Secret"|stringData:`},
	{rule: "kubernetes-secret", doc: json, made: true, keys: "data/*:base64 stringdata/*", sniff: `"kind": "Secret"|"apiVersion"`},
	{rule: "vault-token", files: ".vault-token vault-token .vault_pass .vault_password vault_pass.txt .vault_pass.txt .vaultpass .ansible_vault_pass ansible-vault-pass", find: whole},

	// Infrastructure as code.
	{rule: "terraform-state-secret", files: "*.tfstate *.tfstate.backup terraform.tfstate", doc: json, sniff: `"terraform_version"|"serial"`},
	{rule: "terraform-variable-secret", files: "*.tfvars *.auto.tfvars .terraformrc terraform.rc", doc: lines},
	{rule: "terraform-variable-secret", files: "*.tfvars.json *.auto.tfvars.json credentials.tfrc.json", doc: json},
	{rule: "terraform-variable-secret", files: "*.tf *.hcl", doc: hcl},
	{rule: "ansible-password", files: "group_vars/* host_vars/* vars/*.yml vars/*.yaml defaults/*.yml defaults/*.yaml tasks/*.yml tasks/*.yaml playbooks/*.yml playbook.yml site.yml inventory.yml inventory.yaml hosts.yml hosts.yaml vars.yml vault.yml", doc: yaml},
	{rule: "ansible-password", files: "inventory hosts inventory.ini hosts.ini ansible.cfg inventory/* inventories/*", find: inventory},

	// Cloud and service command lines.
	{rule: "cloud-cli-credential", files: ".aws/credentials .aws/config aws/credentials .boto boto.cfg .s3cfg s3cfg .passwd-s3fs .oci/config .databrickscfg .snowsql/config snowsql/config connections.toml rclone.conf rclone/rclone.conf .credentials .edgerc .ossutilconfig .cos.conf .bluemix.cfg .tencentcloudcli .linode-cli linode-cli .ovh.conf ovh.conf .doctlcfg .civo.json .vultr-cli.yaml", doc: lines, made: true,
		keys: "awssecretaccesskey secretaccesskey secretkey gssecretaccesskey gsoauth2refreshtoken passphrase password token pass pass2 clientsecret accesstoken accesskeysecret secret applicationsecret consumerkey sessiontoken keyfilecontent privatekeypassphrase masterkey saskey sasurl accountkey refreshtoken"},
	{rule: "cloud-cli-credential", files: "application_default_credentials.json accesstokens.json msal_token_cache.json service_principal_entries.json adc.json heroku.json heroku/config.json .heroku.json credentials.json client_secret.json client_secrets.json service-account.json serviceaccount.json gcloud.json", doc: json, made: true,
		keys: "clientsecret refreshtoken accesstoken secret privatekey:pem herokuapikey apikey password token"},
	{rule: "cloud-cli-credential", doc: json, made: true, keys: "privatekey:pem", sniff: `"service_account"|"private_key_id"`},
	{rule: "cloud-cli-credential", files: "doctl/config.yaml doctl/config.yml fly/config.yml .fly/config.yml vercel/auth.json netlify/config.json .config/configstore/* op/config .circleci/cli.yml .travis/config.yml .scw/config.yaml scw/config.yaml ngrok.yml ngrok2/ngrok.yml hcloud/cli.toml .pulumi/credentials.json .sentryclirc snyk.json .wakatime.cfg", doc: yaml, made: true,
		keys: "accesstoken token authtoken secretkey authcontexts/* apikey secret"},
	{rule: "cloud-cli-credential", files: ".cloudflared/*.json", doc: json, made: true, keys: "tunnelsecret"},
	{rule: "cloud-cli-credential", files: ".supabase/access-token huggingface/token .huggingface/token", find: whole},
	{rule: "cloud-cli-credential", files: ".credentials_rsaparams", doc: json, made: true, keys: "d"},
	{rule: "cloud-cli-credential", files: "buildkite-agent.cfg gitlab-runner/config.toml", doc: lines, made: true, keys: "token"},
	{rule: "cloud-cli-credential", files: "credentials.db access_tokens.db", find: tokenDB},

	// Web applications.
	{rule: "env-file-secret", files: ".env .env* *.env .renviron .envrc .flaskenv env env.local dotenv .dev.vars .secrets secrets.env config.env settings.env", doc: lines, keys: ""},
	{rule: "env-file-secret", files: "config irc.conf", doc: lines, keys: "ircpass ircpassword password passwd token secret"},
	{rule: "application-secret", files: "settings.py local_settings.py settings_local.py production.py development.py base.py dev.py prod.py config.py configuration.py secrets.py superset_config.py webserver_config.py jupyter_notebook_config.py conf.py", doc: code},
	{rule: "application-secret", files: "secret_token.rb session_store.rb devise.rb omniauth.rb initializers/*.rb", doc: code, keys: "secretkeybase secrettoken secretkey pepper secret clientsecret appsecret password apikey"},
	{rule: "application-secret", files: "secrets.yml secrets.yaml secret.yml secret.yaml parameters.yml parameters.yaml credentials.yml credentials.yaml config.yml config.yaml application.yml application.yaml application-*.yml application-*.yaml bootstrap.yml bootstrap.yaml settings.yml settings.yaml local.yml app.yml app.yaml _config.yml values.yaml values.yml values-*.yaml values-*.yml values.*.yaml values.*.yml secrets-*.yaml secrets-*.yml secrets.*.yaml secrets.*.yml serverless.yml docker-compose.yml docker-compose.yaml docker-compose.*.yml docker-compose.*.yaml compose.yml compose.yaml compose.*.yml compose.*.yaml kustomization.yml kustomization.yaml pulumi.*.yaml pulumi.*.yml cloudformation.yml cloudformation.yaml template.yml template.yaml prometheus.yml prometheus.yaml alertmanager.yml alertmanager.yaml", doc: yaml},
	{rule: "application-secret", doc: podEnvironment, sniff: "kind: Deployment|env:"},
	{rule: "application-secret", doc: podEnvironment, sniff: "kind: StatefulSet|env:"},
	{rule: "application-secret", doc: podEnvironment, sniff: "kind: DaemonSet|env:"},
	{rule: "application-secret", doc: podEnvironment, sniff: "kind: CronJob|env:"},
	{rule: "application-secret", doc: podEnvironment, sniff: "kind: Pod|env:"},
	{rule: "application-secret", doc: taskEnvironment, sniff: `"containerDefinitions"|"environment"`},
	{rule: "application-secret", files: "application.properties application-*.properties bootstrap.properties config.properties database.properties db.properties jdbc.properties secrets.properties local.properties credentials.properties secure.properties key.properties keystore.properties signing.properties gradle.properties sonar-project.properties hibernate.properties log4j.properties mail.properties app.properties build.properties application.conf reference.conf app.conf config.ini settings.ini app.ini php.ini odoo.conf .odoorc grafana.ini airflow.cfg redis.conf secrets.toml config.toml settings.toml credentials.toml streamlit/secrets.toml wrangler.toml fly.toml credentials credentials.ini secrets.ini", doc: lines},
	{rule: "application-secret", files: "appsettings.json appsettings.*.json secrets.json usersecrets.json local.settings.json config.json credentials.json settings.json default.json production.json development.json secret.json keys.json parameters.json env.json .env.json keycloak.json insomnia.json *.postman_environment.json *.postman_collection.json", doc: json},
	{rule: "application-secret", files: "web.config app.config appsettings.config connectionstrings.config machine.config applicationhost.config", doc: xml, keys: "password pwd validationkey decryptionkey secret apikey token clientsecret *"},
	{rule: "wordpress-secret", files: "wp-config.php wp-config.inc.php", doc: code, made: true,
		keys: "dbpassword authkey secureauthkey loggedinkey noncekey authsalt secureauthsalt loggedinsalt noncesalt ftppass jwtauthsecretkey"},
	{rule: "application-secret", files: "configuration.php localsettings.php settings.php settings.local.php config.inc.php config.php config.local.php database.php db.php wp-config.php wp-config-sample.php wp-config-*.php configuration.inc.php env.php local.php parameters.php app.php config.sample.php conf.php connect.php connection.php dbconfig.php db_config.php dbconnect.php settings.inc.php local.xml .settings.php", doc: code,
		keys: ""},
	{rule: "rails-master-key", files: "master.key config/master.key credentials/*.key production.key staging.key development.key", find: railsKey},
	{rule: "application-secret", files: "salesforce.js sfdc.js jsforce.js", find: logins, sniff: "jsforce"},
	{rule: "application-secret", files: "config.js config.ts settings.js secrets.js secrets.ts credentials.js credentials.ts env.js env.ts environment.ts environment.js environment.prod.ts keys.js keys.ts firebase.js db.js database.js knexfile.js ormconfig.js config.rb secrets.rb config.exs dev.exs prod.exs runtime.exs prod.secret.exs", doc: code},
	{rule: "application-secret", files: "ormconfig.json database.json sequelize.json config/config.json", doc: json},

	{rule: "application-secret", files: "*.publishsettings", doc: xml, made: true, keys: "userpwd"},
	{rule: "application-secret", files: "etc/local.xml", doc: xml}, // Magento
	{rule: "application-secret", files: "*.gradle *.gradle.kts", doc: gradle},
	{rule: "application-secret", files: "core-site.xml hive-site.xml hdfs-site.xml hbase-site.xml yarn-site.xml", doc: xml},

	// File transfer, editors and mail.
	{rule: "file-transfer-password", files: ".ftpconfig .remote-sync.json sftp-config.json sftp-config-alt.json sftp.json .vscode/sftp.json deployment-config.json .ftpsync.json ftpsync.settings .sftpconfig.json .ftppass ftp-sync.json .ftp-deploy-sync-state.json .deployment-config.json .ftprc.json", doc: json, made: true,
		keys: "password pass passphrase"},
	{rule: "file-transfer-password", files: "filezilla.xml sitemanager.xml recentservers.xml webservers.xml deployment.xml sshconfigs.xml webservers.local.xml filezilla-server.xml fzdefaults.xml winscp.xml coreftp.xml", doc: xml, made: true, keys: "pass password:jetbrains passphrase"},
	{rule: "file-transfer-password", files: ".wgetrc wgetrc", doc: lines, made: true, keys: "password httppassword ftppassword proxypassword"},
	{rule: "file-transfer-password", files: "winscp.ini wcx_ftp.ini ws_ftp.ini smartftp.ini lftp/rc .lftprc bookmarks .lftp/bookmarks", doc: lines, made: true, keys: "password pwd pass passphrase"},
	{rule: "mail-password", files: ".esmtprc esmtprc .msmtprc msmtprc .mpoprc .getmailrc getmailrc .offlineimaprc offlineimaprc .mbsyncrc mbsyncrc .isyncrc ssmtp.conf .ssmtprc revaliases .mailrc .muttrc muttrc .neomuttrc", doc: spaced, made: true,
		keys: "password pass passwd authpass smtppass imappass smtppassword remotepass localpass pass:skip smtpauthpassword"},
	{rule: "mail-password", files: ".fetchmailrc fetchmailrc", find: fetchmail},
	{rule: "service-password", files: "ipsec.secrets", find: tunnelSecrets},
	{rule: "service-password", files: "users.acl", find: accessList},
	{rule: "service-password", files: "haproxy.cfg", find: balancer},
	{rule: "service-password", files: "*.nmconnection", doc: lines, made: true, keys: "psk password"},
	{rule: "service-password", files: "unattend.xml autounattend.xml sysprep.xml", doc: xml, made: true, keys: "password/value administratorpassword/value"},
	{rule: "service-password", files: "groups.xml services.xml scheduledtasks.xml printers.xml drives.xml datasources.xml", doc: xml, made: true, keys: "cpassword"}, // group policies
	{rule: "service-password", files: "ventrilo_srv.ini server.properties murmur.ini teamspeak.ini irssi/config .irssi/config weechat/irc.conf znc.conf .ircrc redis.conf sentinel.conf rabbitmq.conf mosquitto.conf smb.conf smbcredentials .smbcredentials .cifs credentials.smb wpa_supplicant.conf hostapd.conf openvpn.auth supervisord.conf .jupyter/jupyter_notebook_config.json my.ini vncpasswd.ini ultravnc.ini tightvnc.ini .tsclientrc", doc: spaced, made: true,
		keys: "adminpassword password passwd defaultpass rconpassword requirepass masterauth psk sasplpassword serverpassword passwordauth icesecretread superpassword pass autosendcmd saslpassword"},
	{rule: "browser-login", files: "logins.json", doc: json, made: true, keys: "encryptedpassword encryptedusername"},
	{rule: "api-access-hash", files: ".accesshash accesshash", find: joined},
	{rule: "mail-password", files: "sasl_passwd sasl/passwd relay_passwd", find: relays},
	{rule: "mail-password", files: "passwd.client", find: smarthosts},
	{rule: "service-password", files: "chap-secrets pap-secrets", find: dialIn},
	{rule: "service-password", files: "*.ovpn", find: tunnels},
	{rule: "service-password", files: "snmpd.conf snmp.conf", find: snmpUsers},
	{rule: "service-password", files: "ldap.conf .ldaprc ldaprc pam_ldap.conf libnss-ldap.conf nslcd.conf sssd.conf", doc: spaced, made: true, keys: "bindpw rootpw rootpwmodpw ldapdefaultauthtok"},
	{rule: "service-password", files: "ldap.secret pam_ldap.secret libnss-ldap.secret", find: whole},
	{rule: "service-password", files: ".curlrc _curlrc curlrc", find: curlOptions},
	{rule: "file-transfer-password", files: ".lftp/rc lftp/rc .lftprc", find: lftpCommands},
	{rule: "database-password", files: ".mongorc.js .mongoshrc.js mongorc.js", find: shellLogin},

	// Command lines.
	{rule: "shell-password", files: ".bash_history .zsh_history .sh_history .history .ash_history .mysql_history .psql_history fish_history .bashrc .bash_profile .bash_aliases .profile .zshrc .zshenv .zprofile .zlogin .cshrc .tcshrc .kshrc .bash_login .bash_logout .functions .exports .aliases config.fish crontab rc.local environment *.sh *.bash *.zsh *.ksh *.fish *.ps1 *.psm1 *.bat *.cmd dockerfile containerfile *.dockerfile dockerfile* makefile gnumakefile jenkinsfile jenkinsfile* vagrantfile procfile .gitlab-ci.yml .gitlab-ci.yaml .travis.yml appveyor.yml azure-pipelines.yml bitbucket-pipelines.yml .drone.yml cloudbuild.yaml buildspec.yml .github/workflows/* .circleci/config.yml", find: shell, sniff: "#!/"},
}

func (f *format) compile() {
	for mark := range strings.SplitSeq(f.sniff, "|") {
		f.marks = append(f.marks, []byte(mark))
	}
	f.names = map[string][]want{}
	for k := range strings.FieldsSeq(f.keys) {
		k, decode, _ := strings.Cut(k, ":")
		dir, name := "", k
		if i := strings.LastIndexByte(k, '/'); i >= 0 {
			dir, name = k[:i], k[i+1:]
		}
		f.names[name] = append(f.names[name], want{dir, decode})
	}
}

// wants tells how to decode an entry, and whether the row takes it.
func (f *format) wants(d *doc, e entry) (decode string, ok bool) {
	if f.keys == "" {
		return "", secretName(e.key)
	}
	for _, name := range []string{plain(e.key), plain(last(e.key)), "*"} {
		for _, w := range f.names[name] {
			if name == "*" && (ownerKeys[plain(e.key)] != "" || aboutSecret(plain(e.key))) {
				continue
			}
			if within(d.groups[e.group], w.path) {
				return w.decode, w.decode != "skip"
			}
		}
	}
	return "", false
}

// last is the last name of a dotted one: "password" of "spring.datasource.password".
func last(key string) string { return key[strings.LastIndexByte(key, '.')+1:] }

// within tells whether a group's path ends in want, whose "*" stands for any one name.
func within(path, want string) bool {
	if want == "" {
		return true
	}
	p, w := strings.Split(path, "/"), strings.Split(want, "/")
	if len(p) < len(w) {
		return false
	}
	p = p[len(p)-len(w):]
	for i := range w {
		if w[i] != "*" && plain(p[i]) != w[i] {
			return false
		}
	}
	return true
}

// read finds a file's credentials by the row.
func (f *format) read(t []byte) []Credential {
	var found []Credential
	if f.find != nil {
		found = f.find(t)
	} else {
		found = f.pick(f.doc(t))
	}
	for i := range found {
		found[i].Rule = f.rule
	}
	return found
}

// What a host with its port consists of, so that no password in front of it passes for a part of it; a name has at most 253 bytes.
const (
	hostText = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-.:"
	maxHost  = 260
)

// RegistryOf is the host and port of a registry by the name that configurations give it, such as "https://index.docker.io/v1/" or
// "registry.example.com:5000/acme"; "" for what is none.
func RegistryOf(name string) string {
	if _, address, ok := strings.Cut(name, "://"); ok {
		name = address
	}
	if host, _, _ := strings.Cut(name, "/"); strings.ContainsAny(host, ".:") && len(host) <= maxHost && strings.Trim(host, hostText) == "" {
		return host
	}
	return ""
}

// pick takes the entries a row asks for and names their owners by what stands beside them.
func (f *format) pick(d *doc) []Credential {
	owners := map[beside]*owner{}
	for _, e := range d.entries {
		what, prefix := ownerKeys[plain(e.key)], ""
		if what == "" {
			prefix = prefixOf(e.key)
			what = ownerKeys[plain(e.key[len(prefix):])]
		}
		if what == "" {
			continue
		}
		at := beside{e.group, prefix}
		if owners[at] == nil {
			owners[at] = &owner{}
		}
		owners[at].set(what, d.value(e))
	}
	var found []Credential
	tried := 0 // a value that is looked at costs some ten microseconds
	for _, e := range d.entries {
		if tried == maxTried {
			break
		}
		whole := owners[beside{e.group, ""}]
		decode, ok := f.wants(d, e)
		if !ok && (whole == nil || whole.sensitive == "" || whole.sensitive != plain(e.key)) {
			continue
		}
		tried++
		c, ok := f.credential(d, e, decode)
		if !ok {
			continue
		}
		for _, o := range []*owner{owners[beside{e.group, prefixOf(e.key)}], whole} {
			if o != nil && c.ID == "" {
				c.ID = o.user
			}
		}
		if id, ok := unbase64(c.ID); ok && decode == "base64" && strings.HasSuffix(d.groups[e.group], "data") && printable(id) {
			c.ID = string(id)
		}
		if key := plain(e.key); (key == "auth" || key == "password") && (f.keys == dockerKeys || strings.HasPrefix(d.groups[e.group], "auths/")) {
			name := d.groups[e.group] // in .dockercfg without "auths"
			if _, below, ok := strings.Cut("/"+name, "/auths/"); ok {
				name = below
			}
			if host := RegistryOf(name); host != "" {
				c.Kind, c.Parts = audit.KindRegistryLogin, map[string]string{audit.PartHost: host}
			}
		}
		found = append(found, c)
	}
	return found
}

// beside is what an owner and a secret share: their group and the beginning of their names, such as "DB_".
type beside struct {
	group  int
	prefix string
}

// prefixOf is all of a name but its last word.
func prefixOf(key string) string { return key[:strings.LastIndexAny(key, "_.-")+1] }

func (f *format) credential(d *doc, e entry, decode string) (Credential, bool) {
	c := Credential{Kind: kindOf(e.key), Value: d.value(e), Start: e.start, End: e.end}
	if e.end-e.start > maxKey || bytes.HasPrefix(d.text[e.start:e.end], []byte("-----BEGIN")) {
		return c, false // key blocks are found anywhere
	}
	if e.base64 {
		decode = "base64"
	}
	switch decode {
	case "basic":
		if user, pass, ok := userPass(c.Value); ok {
			c.ID, c.Value, c.Kind = user, pass, "password"
		} else if user, pass, ok := strings.Cut(c.Value, ":"); ok {
			c.ID, c.Value, c.Kind = user, pass, "password"
		}
	case "base64":
		b, ok := unbase64(c.Value)
		if !ok || len(b) < 16 && !printable(b) || bytes.HasPrefix(b, []byte("-----BEGIN CERT")) {
			return c, false
		}
		c.Value = strings.TrimRight(string(b), "\r\n")
		if bytes.Contains(b[:min(len(b), 64)], []byte("PRIVATE KEY")) {
			c.Kind = "private-key"
		}
	case "pair":
		user, pass, ok := strings.Cut(c.Value, ":")
		if !ok {
			return c, false
		}
		c.ID, c.Value, c.Kind = user, pass, "password"
	case "braced":
		c.Value = strings.Trim(c.Value, "{}")
	case "jetbrains":
		c.Value = jetbrains(c.Value)
	}
	if !f.made {
		if weakName(e.key) && !random(c.Value) || e.paired && strings.Trim(c.Value, "abcdefghijklmnopqrstuvwxyz-_.") == "" { // the name of a secret kept elsewhere
			return c, false
		}
		return c, real(c.Value) && !strings.Contains(c.Value, "://") && !(e.quote == 0 && unlikely(c.Value))
	}
	return c, filledIn(c.Value) && !strings.Contains(c.Value, "://")
}

func printable(b []byte) bool {
	return utf8.Valid(b) && !bytes.ContainsFunc(b, func(r rune) bool { return r < ' ' && r != '\n' && r != '\r' && r != '\t' })
}

// unlikely tells an expression from a value that stands without quotes.
func unlikely(v string) bool {
	return strings.ContainsAny(v, " ()[]{}") || strings.HasPrefix(v, "&") || strings.Contains(v, "::")
}

// An owner is whom a credential belongs to, as its group of entries says.
type owner struct {
	user      string
	sensitive string // the name of a value that Terraform keeps secret: of an output, of a random password
}

var ownerKeys = map[string]string{
	"user": "user", "username": "user", "login": "user", "email": "user", "clientid": "user", "clientemail": "user", "userid": "user",
	"awsaccesskeyid": "user", "accesskeyid": "user", "accesskey": "user", "sshusername": "user", "consumerkey": "user",
	"sensitive": "sensitive", "bcrypthash": "random",
}

func (o *owner) set(what, v string) {
	switch {
	case len(v) > 256:
	case what == "user":
		o.user = v
	case what == "sensitive" && v == "true":
		o.sensitive = "value"
	case what == "random":
		o.sensitive = "result"
	}
}

// jetbrains undoes the obfuscation of the JetBrains IDEs: each 16-bit character XOR 0xDFAA, in hex.
func jetbrains(v string) string {
	b, err := hex.DecodeString(v)
	if err != nil || len(b) == 0 || len(b)%2 != 0 {
		return v
	}
	var s strings.Builder
	for i := 0; i < len(b); i += 2 {
		s.WriteRune(rune(b[i]^0xdf)<<8 | rune(b[i+1]^0xaa))
	}
	return s.String()
}
