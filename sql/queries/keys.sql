-- name: create_key
-- The hash of a new key; its name and its hash are each unique, for ever.
insert into cles (nom, empreinte, portees, creee_le, expire_le) values (:nom, :empreinte, :portees, :creee_le, :expire_le);

-- name: all_keys
-- Every key that was ever made, the revoked ones included.
select nom, empreinte, portees, creee_le, expire_le, revoquee_le from cles order by creee_le, nom;

-- name: revoke_key
-- A key is revoked once; the row stays, because decisions quote its name.
update cles set revoquee_le = :revoquee_le where nom = :nom and revoquee_le is null;
