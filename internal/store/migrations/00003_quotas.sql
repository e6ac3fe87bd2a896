-- +goose Up

-- A quota is what a forge's API grants to one credential, or to one resource of it, until resets_at.
CREATE TABLE quotas (
	api          TEXT   NOT NULL,
	host         TEXT   NOT NULL,
	credential   TEXT   NOT NULL, -- a digest of it
	resource     TEXT   NOT NULL,
	quota        BIGINT NOT NULL DEFAULT 0, -- requests; 0 while no answer has told
	remaining    BIGINT NOT NULL DEFAULT 0, -- the least that answers told since it was last filled
	reserve      BIGINT NOT NULL DEFAULT 0, -- of it, what is left to people
	lent         BIGINT NOT NULL DEFAULT 0, -- to processes: what remaining may not have in it yet
	resets_at    BIGINT NOT NULL DEFAULT 0,
	told         BIGINT NOT NULL DEFAULT 0, -- whether resets_at is the API's word: after a reset it is a guess until the first answer
	paused_until BIGINT NOT NULL DEFAULT 0, -- the API asked for it
	PRIMARY KEY (api, host, credential, resource)
);

-- +goose Down
DROP TABLE quotas;
