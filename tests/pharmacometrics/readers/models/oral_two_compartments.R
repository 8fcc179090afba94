#' An invented drug for the tests: two compartments, oral and intravenous doses, two outputs.
#' @export
invented_2026_oral <- function() {
  description <- "Two compartments with first-order absorption and an effect compartment (invented for tests)"
  reference <- paste(
    "Nobody A, Noone B. A drug that does not exist.",
    "J Nowhere 2026;1(1):1-2. doi:10.1234/nowhere.2026.001.",
    sep = " "
  )
  units <- list(time = "h", dosing = "mg", concentration = "mg/L")
  dosing <- c("depot", "central")
  covariateData <- list(
    WT = list(description = "Body weight", units = "kg", type = "continuous", notes = 'about 70 kg; "total" weight'),
    SEXF = list(description = "1 = female", units = "(binary)", type = "binary", reference_category = "0 (male)")
  )
  population <- list(n_subjects = 40L, disease_state = "invented", age_range = NA_character_)

  ini({
    lka <- log(c(0.1, 0.9, 5)); label("Absorption rate (1/h)")
    lcl <- c(-2, log(4.2), 5)  # Clearance (L/h)
    lvc <- fix(log(31)); label("Central volume (L)")
    lq = log(2.5)
    lvp <- c(0, log(55), 9, FIXED)
    llag <- log(0.25)
    logitf <- logit(0.7)
    e_wt <- 0.75
    e_sex <- -0.2
    lke0 <- log(0.3)
    eta.cl + eta.vc ~ c(0.09,
                        0.02, 0.04)
    eta.ka ~ sd(0.5)       # IIV ka 53.3 %
    eta.f ~ fix(0.01)
    iov.cl ~ 0.0225 | occ
    propSd <- 0.1
    addSd <- 0.05
    sdEffect <- 3
  })
  model({
    size <- (WT / 70)^e_wt
    ka <- exp(lka + eta.ka)
    cl <- exp(lcl + eta.cl + iov.cl) * size
    if (SEXF == 1) {
      cl <- cl * (1 + e_sex)
    }
    vc <- exp(lvc + eta.vc) * WT / 70
    q <- exp(lq)
    vp <- exp(lvp)
    cp <- linCmt()
    f(depot) <- expit(logitf + eta.f)
    alag(depot) <- exp(llag)
    d/dt(effect) <- exp(lke0) * (cp - effect)
    effect(0) <- 0
    response <- 100 - 20 * effect / (1 + effect)
    cp ~ add(addSd) + prop(propSd) + combined1()
    response ~ add(sdEffect) | pain
  })
}
