-- name: append_decision
-- One decision. (ecrivain, rang) is unique: a row can neither be written twice nor take the place of another.
insert into decisions (decision_id, horodatage, cle, dossier, resultat, modele_version, ecrivain, rang, hash_precedent, hash)
values (:decision_id, :horodatage, :cle, :dossier, :resultat, :modele_version, :ecrivain, :rang, :hash_precedent, :hash);

-- name: decisions_in_order
-- Every decision, each writer's rows in the order in which it chained them.
select decision_id, horodatage, cle, dossier, resultat, modele_version, ecrivain, rang, hash_precedent, hash
from decisions
order by ecrivain, rang;

-- name: audit_answers
-- Fails where the table is missing or the database does not answer.
select rang from decisions limit 1;
