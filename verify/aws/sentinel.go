package aws

import "slices"

// A Sentinel is an action whose being allowed tells much about an identity.
type Sentinel struct {
	Action string
	Group  Group
	Level  Effect
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

// Effect is what an action does by itself.
type Effect string

// The effects.
const (
	Writes  Effect = "write"
	Reads   Effect = "read"
	Becomes Effect = "become" // acts as somebody else, or hands a right on: worth what that other identity is worth
)

// Sentinels lists the actions that are simulated, by group. Forty fit into one call of SimulatePrincipalPolicy.
func Sentinels() []Sentinel { return slices.Clone(sentinels) }

var sentinels = []Sentinel{
	{"iam:CreateUser", Administration, Writes},
	{"iam:CreateOpenIDConnectProvider", Administration, Writes},
	{"organizations:ListAccounts", Administration, Reads},
	{"organizations:DetachPolicy", Administration, Writes},
	{"organizations:LeaveOrganization", Administration, Writes},
	{"s3:PutBucketPolicy", Administration, Writes},
	{"kms:PutKeyPolicy", Administration, Writes},
	{"ec2:RunInstances", Administration, Writes},
	{"lambda:CreateFunction", Administration, Writes},
	{"ecs:RunTask", Administration, Writes},
	{"cloudformation:CreateStack", Administration, Writes},

	{"iam:AttachUserPolicy", Escalation, Writes},
	{"iam:AttachRolePolicy", Escalation, Writes},
	{"iam:PutUserPolicy", Escalation, Writes},
	{"iam:PutRolePolicy", Escalation, Writes},
	{"iam:CreatePolicyVersion", Escalation, Writes},
	{"iam:SetDefaultPolicyVersion", Escalation, Writes},
	{"iam:UpdateAssumeRolePolicy", Escalation, Writes},
	{"iam:AddUserToGroup", Escalation, Writes},
	{"iam:DeleteUserPermissionsBoundary", Escalation, Writes},
	{"iam:DeleteUserPolicy", Escalation, Writes},
	{"iam:PassRole", Escalation, Becomes},
	{"lambda:UpdateFunctionCode", Escalation, Writes},
	{"ssm:SendCommand", Escalation, Writes},
	{"ssm:StartSession", Escalation, Writes},

	{"iam:CreateAccessKey", KeyCreation, Writes},
	{"iam:CreateLoginProfile", KeyCreation, Writes},
	{"iam:UpdateLoginProfile", KeyCreation, Writes},
	{"sts:GetFederationToken", KeyCreation, Becomes},

	{"s3:ListAllMyBuckets", DataRead, Reads},
	{"s3:GetObject", DataRead, Reads},
	{"ec2:DescribeInstanceAttribute", DataRead, Reads},
	{"kms:Decrypt", DataRead, Reads},
	{"s3:PutObject", DataWrite, Writes},
	{"ec2:ModifySnapshotAttribute", DataWrite, Writes},

	{"secretsmanager:GetSecretValue", SecretsRead, Reads},
	{"ssm:GetParameter", SecretsRead, Reads},

	{"cloudtrail:StopLogging", TrailTampering, Writes},
	{"guardduty:DeleteDetector", TrailTampering, Writes},

	{"sts:AssumeRole", RoleAssumption, Becomes},
}

// guarded are the actions that organisations take even from administrators, so that their absence does not make an identity
// less than admin.
var guarded = []string{
	"organizations:ListAccounts", "organizations:DetachPolicy", "organizations:LeaveOrganization",
	"cloudtrail:StopLogging", "guardduty:DeleteDetector",
}
