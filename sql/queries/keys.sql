-- name: create_key
-- Record the hash of a new key. Its name and its hash are unique, revoked keys included.
insert into cles (nom, empreinte, portees, creee_le, expire_le) values (:nom, :empreinte, :portees, :creee_le, :expire_le);

-- name: all_keys
-- Every key, revoked ones included.
select nom, empreinte, portees, creee_le, expire_le, revoquee_le from cles order by creee_le, nom;

-- name: revoke_key
-- Revoke a key, once. The row stays, because decisions quote its name.
update cles set revoquee_le = :revoquee_le where nom = :nom and revoquee_le is null;
