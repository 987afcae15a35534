-- Until when a subscription of policy control holds, so that it can be removed; 0: for
-- ever, or as its document says, if it was made before this was kept.
ALTER TABLE charging_policy_subscription ADD COLUMN expires_at BIGINT NOT NULL DEFAULT 0;
CREATE INDEX charging_policy_subscription_expires ON charging_policy_subscription (tenant, expires_at) WHERE expires_at > 0;
