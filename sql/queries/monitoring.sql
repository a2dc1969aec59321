-- name: decisions_between
-- The decisions of a period, for monitoring.
select decision_id, horodatage, dossier, resultat, modele_version
from decisions
where horodatage >= :depuis and horodatage < :jusque
order by horodatage, decision_id;
