-- The tables of the service: hashes of keys, the end of each chain of the audit, and the answers to repeated requests.

create table cles (
  nom        varchar(64) not null primary key,   -- decisions.cle quotes it, so it is used once
  empreinte  varchar(64) not null,               -- SHA-256 of the key; the key itself is not stored
  portees    varchar(64) not null,               -- score, audit, operate, separated by spaces
  creee_le   varchar(32) not null,               -- UTC, ISO 8601, like the two below
  expire_le  varchar(32),                        -- NULL: the key does not expire
  revoquee_le varchar(32),                       -- NULL while the key is valid
  constraint cles_empreinte unique (empreinte)
) /*! engine = InnoDB default character set utf8mb4 collate utf8mb4_nopad_bin */;

-- Written in the transaction of the decisions. Without it a removal of the last rows of a chain would not be found.
create table ecrivains (
  ecrivain varchar(36) not null primary key,
  rang     integer not null,                     -- of its last row
  hash     varchar(64) not null                  -- of its last row
) /*! engine = InnoDB default character set utf8mb4 collate utf8mb4_nopad_bin */;

insert into ecrivains (ecrivain, rang, hash)
select ecrivain, rang, hash from decisions as derniere
where rang = (select max(rang) from decisions where decisions.ecrivain = derniere.ecrivain);

create table idempotence (
  cle         varchar(64) not null,              -- name of the API key
  jeton       varchar(128) not null,             -- its Idempotency-Key
  corps       varchar(64) not null,              -- SHA-256 of the body
  decision_id varchar(36) not null,
  primary key (cle, jeton),
  constraint idempotence_decision foreign key (decision_id) references decisions (decision_id)
) /*! engine = InnoDB default character set utf8mb4 collate utf8mb4_nopad_bin */;
