package aws

import "slices"

// A Sentinel is an action whose being allowed tells much about an identity.
type Sentinel struct {
	Action string
	Group  Group
}

// Group says what a sentinel action stands for.
type Group string

// The groups of sentinel actions.
const (
	Administration Group = "administration"
	Escalation     Group = "privilege escalation"
	KeyCreation    Group = "key creation"
	DataRead       Group = "data read"
	DataWrite      Group = "data write"
	SecretsRead    Group = "secrets read"
	TrailTampering Group = "trail tampering"
	RoleAssumption Group = "role assumption"
)

// Sentinels lists the actions that are simulated, by group. Forty fit into one call of SimulatePrincipalPolicy.
func Sentinels() []Sentinel { return slices.Clone(sentinels) }

var sentinels = []Sentinel{
	{"iam:CreateUser", Administration},
	{"iam:CreateOpenIDConnectProvider", Administration},
	{"organizations:ListAccounts", Administration},
	{"organizations:DetachPolicy", Administration},
	{"organizations:LeaveOrganization", Administration},
	{"s3:PutBucketPolicy", Administration},
	{"kms:PutKeyPolicy", Administration},
	{"ec2:RunInstances", Administration},
	{"lambda:CreateFunction", Administration},
	{"ecs:RunTask", Administration},
	{"cloudformation:CreateStack", Administration},

	{"iam:AttachUserPolicy", Escalation},
	{"iam:AttachRolePolicy", Escalation},
	{"iam:PutUserPolicy", Escalation},
	{"iam:PutRolePolicy", Escalation},
	{"iam:CreatePolicyVersion", Escalation},
	{"iam:SetDefaultPolicyVersion", Escalation},
	{"iam:UpdateAssumeRolePolicy", Escalation},
	{"iam:AddUserToGroup", Escalation},
	{"iam:DeleteUserPermissionsBoundary", Escalation},
	{"iam:DeleteUserPolicy", Escalation},
	{"iam:PassRole", Escalation},
	{"lambda:UpdateFunctionCode", Escalation},
	{"ssm:SendCommand", Escalation},
	{"ssm:StartSession", Escalation},

	{"iam:CreateAccessKey", KeyCreation},
	{"iam:CreateLoginProfile", KeyCreation},
	{"iam:UpdateLoginProfile", KeyCreation},
	{"sts:GetFederationToken", KeyCreation},

	{"s3:ListAllMyBuckets", DataRead},
	{"s3:GetObject", DataRead},
	{"ec2:DescribeInstanceAttribute", DataRead},
	{"kms:Decrypt", DataRead},
	{"s3:PutObject", DataWrite},
	{"ec2:ModifySnapshotAttribute", DataWrite},

	{"secretsmanager:GetSecretValue", SecretsRead},
	{"ssm:GetParameter", SecretsRead},

	{"cloudtrail:StopLogging", TrailTampering},
	{"guardduty:DeleteDetector", TrailTampering},

	{"sts:AssumeRole", RoleAssumption},
}

// guarded are the actions that organisations take even from administrators, so that their absence does not make an identity
// less than admin.
var guarded = []string{
	"organizations:ListAccounts", "organizations:DetachPolicy", "organizations:LeaveOrganization",
	"cloudtrail:StopLogging", "guardduty:DeleteDetector",
}
